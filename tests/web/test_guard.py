"""Access to the page, and what browsers are told to block."""

import pytest
from fastapi.testclient import TestClient

from funsearch.storage import SqlStorage
from funsearch.web.app import create_app


@pytest.mark.parametrize("address", ["/", "/runs/1", "/nope", "/static/page.css", "/runs/1/programs/3/answer.txt"])
def test_policy_blocks_other_hosts_and_inline_scripts(page: TestClient, address: str) -> None:
    headers = page.get(address).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_the_page_is_read_only(page: TestClient, method: str) -> None:
    assert page.request(method, "/runs/1").status_code == 405


def test_without_a_token_only_requests_to_local_names_are_answered(empty: SqlStorage) -> None:
    app = create_app(empty)
    for name, status in (("127.0.0.1", 200), ("localhost", 200), ("[::1]", 200), ("evil.example", 403)):
        with TestClient(app, base_url=f"http://{name}:8200") as client:
            assert client.get("/").status_code == status, name


def test_a_token_is_required_and_kept_in_a_cookie(empty: SqlStorage) -> None:
    app = create_app(empty, token="s3cret")
    with TestClient(app, base_url="http://machine.example:8200", follow_redirects=False) as client:
        assert client.get("/").status_code == 401
        assert client.get("/static/page.js").status_code == 401
        assert client.get("/?token=wrong").status_code == 401
        admitted = client.get("/compare?run=1&token=s3cret")
        assert (admitted.status_code, admitted.headers["location"]) == (303, "/compare?run=1")
        assert "httponly" in admitted.headers["set-cookie"].lower()
        assert client.get("/").status_code == 200
        assert client.get("//elsewhere.example/?token=s3cret").headers.get("location", "/")[:2] != "//"
