"""How quickly the built-in model samples, and what of it can be used, for a choice of settings.

    python -m benchmarks.sampler [--prompts 40] [--set vllm.max_num_seqs=128]

Asks for the samples of the bin-packing problem's first prompt, many at once, as a search does. Prints samples and
tokens a second, and how many programs can be read and run, and how many of them differ.
"""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

from funsearch.core.prompt import best_shot_prompt
from funsearch.core.records import Prompt, Status
from funsearch.loading import load_problem
from funsearch.sandbox import open_sandbox
from funsearch.settings.samplers import make_sampler
from funsearch.settings.search import Settings


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="assignments")
    options = parser.parse_args()
    settings = Settings.load(None, options.assignments)
    problem = load_problem("bin_packing")
    text = best_shot_prompt(problem.specification, [problem.specification.first])
    prompts = [
        Prompt(k, island=0, resets=0, text=text, version=1, parents=(0,), after=0) for k in range(options.prompts)
    ]
    started = time.perf_counter()
    sampler = make_sampler(settings)
    print(f"loaded in {time.perf_counter() - started:.0f} s")
    with ThreadPoolExecutor(settings.in_flight()) as pool:
        list(pool.map(sampler.sample, prompts[:2]))  # warm
        started = time.perf_counter()
        samples = [sample for answer in pool.map(sampler.sample, prompts) for sample in answer]
        seconds = time.perf_counter() - started
    sampler.close()
    sandbox = open_sandbox()
    evaluator = problem.scorer(sandbox)
    judged = [evaluator.evaluate(sample) for sample in samples]
    sandbox.close()
    valid = [one for one in judged if one.status is Status.OK]
    tokens = sum(sample.tokens for sample in samples)
    rate = f"{len(samples) / seconds:.1f} samples/s, {tokens / seconds:.0f} tokens/s"
    print(f"{rate}, {tokens / len(samples):.0f} tokens a sample")
    print(f"{len(valid) / len(samples):.0%} run, {len({one.key for one in valid}) / len(samples):.0%} run and differ")


if __name__ == "__main__":
    main()
