"""Measures how fast the built-in model samples, and how many of its samples are valid, for given settings.

    python -m benchmarks.sampler [--prompts 40] [--set vllm.max_num_seqs=128]

Samples the first prompt of the bin-packing problem, with many requests at once, as a search does. Prints samples and
tokens per second, and the shares of samples that are valid and distinct.
"""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

from funsearch.core.prompt import best_shot_prompt
from funsearch.core.records import Prompt, Sample, Status
from funsearch.loading import load_problem
from funsearch.sandbox import open_sandbox
from funsearch.search.sampling import PortSampler
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
        Prompt(index=k, island=0, resets=0, text=text, version=1, parents=(0,), after=0) for k in range(options.prompts)
    ]
    started = time.perf_counter()
    sampler = PortSampler(make_sampler(settings))
    print(f"loaded in {time.perf_counter() - started:.0f} s")

    def answer(prompt: Prompt) -> list[Sample]:
        return sampler.sample(prompt, settings.samples_per_prompt)

    with ThreadPoolExecutor(settings.in_flight()) as pool:
        list(pool.map(answer, prompts[:2]))  # warm up
        started = time.perf_counter()
        samples = [sample for answers in pool.map(answer, prompts) for sample in answers]
        seconds = time.perf_counter() - started
    sampler.close()
    sandbox = open_sandbox()
    evaluator = problem.scorer(sandbox)
    evaluations = [evaluator.evaluate(sample) for sample in samples]
    sandbox.close()
    valid = [evaluation for evaluation in evaluations if evaluation.status is Status.OK]
    tokens = sum(sample.tokens for sample in samples)
    rate = f"{len(samples) / seconds:.1f} samples/s, {tokens / seconds:.0f} tokens/s"
    print(f"{rate}, {tokens / len(samples):.0f} tokens per sample")
    distinct = len({evaluation.key for evaluation in valid})
    print(f"{len(valid) / len(samples):.0%} valid, {distinct / len(samples):.0%} valid and distinct")


if __name__ == "__main__":
    main()
