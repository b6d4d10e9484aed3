"""A process that uses a storage, to be watched and killed.

usage: python writing_process.py URL open | hold | write GROUPS SIZE
"""

import sys

from funsearch.core.records import Evaluation, Function, Prompt, Sample, Status
from funsearch.storage import open_storage


def main(url: str, what: str, groups: str = "0", size: str = "0") -> None:
    if what == "open":
        print("ready", flush=True)
        sys.stdin.readline()
        print(f"{len(open_storage(url).runs())} runs")
        return
    storage = open_storage(url)
    with storage.lease("demo"):
        if what == "hold":
            print("holding", flush=True)
            sys.stdin.readline()
        for group in range(int(groups)):
            events = []
            for index in range(group * int(size), (group + 1) * int(size)):
                prompt = Prompt(
                    index=index, island=0, resets=0, text="def f():" * 200, version=1, parents=(), after=index
                )
                sample = Sample(prompt=prompt, index=0, text="    return 0\n", model="model", finish_reason="stop")
                events += [
                    prompt,
                    sample,
                    Evaluation(sample=sample, status=Status.OK, function=Function(sample.text), score=1.0),
                ]
            storage.append("demo", events)
            print(f"wrote {group + 1}", flush=True)
    storage.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
