"""Honest programs, as models write them, with the values that their function `f` returns. None may be refused.

Each is the source of a module and, after `# ->`, the value.
"""

import ast

PROGRAMS = """
## numpy: vectors
import numpy as np
def f(): return float(np.linalg.norm(np.array([3.0, 4.0])))
# -> 5.0
## numpy: matrices
import numpy as np
def f(): return (np.arange(4).reshape(2, 2) @ np.eye(2)).tolist()
# -> [[0.0, 1.0], [2.0, 3.0]]
## numpy: where
import numpy as np
def f(): return np.where(np.arange(4) > 1, -1, np.arange(4)).tolist()
# -> [0, 1, -1, -1]
## numpy: masks
import numpy as np
def f():
    bins = np.array([10.0, 3.0, 7.0])
    bins[bins < 5] = -np.inf
    return int(np.argmax(bins))
# -> 0
## numpy: broadcasting
import numpy as np
def f(): return int((np.arange(3)[:, None] * np.arange(3)[None, :]).sum())
# -> 9
## numpy: solving
import numpy as np
def f(): return np.linalg.solve(np.array([[2.0, 0.0], [0.0, 4.0]]), np.array([2.0, 4.0])).round(6).tolist()
# -> [1.0, 1.0]
## numpy: eigenvalues
import numpy as np
def f(): return sorted(round(float(x), 6) for x in np.linalg.eigvalsh(np.diag([1.0, 2.0])))
# -> [1.0, 2.0]
## numpy: singular values
import numpy as np
def f(): return round(float(np.linalg.svd(np.ones((50, 50)))[1][0]), 6)
# -> 50.0
## numpy: random with a seed
import numpy as np
def f(): return int(np.random.default_rng(0).integers(0, 10, 5).sum())
# -> 24
## numpy: the old random
import numpy as np
def f():
    np.random.seed(1)
    return int(np.random.randint(0, 100))
# -> 37
## numpy: Fourier
import numpy as np
def f(): return float(np.fft.fft(np.ones(8)).real[0])
# -> 8.0
## numpy: polynomials
import numpy as np
def f(): return float(np.polyval(np.polyfit([0, 1, 2], [0, 1, 4], 2), 3).round(6))
# -> 9.0
## numpy: sorting and unique
import numpy as np
def f(): return np.unique(np.sort(np.array([3, 1, 3, 2]))[::-1]).tolist()
# -> [1, 2, 3]
## numpy: einsum
import numpy as np
def f(): return float(np.einsum("ij,ij->", np.ones((2, 3)), np.ones((2, 3))))
# -> 6.0
## numpy: strides
import numpy as np
def f(): return np.lib.stride_tricks.sliding_window_view(np.arange(4), 2).sum(axis=1).tolist()
# -> [1, 3, 5]
## numpy: warnings pass
import numpy as np
def f(): return float(np.nan_to_num(np.log(np.array([0.0])) * 0, nan=1.0)[0])
# -> 1.0
## numpy: error state
import numpy as np
def f():
    with np.errstate(divide="ignore"):
        return bool(np.isinf(np.array([1.0]) / 0)[0])
# -> True
## numpy: bits
import numpy as np
def f(): return np.bitwise_xor.reduce(np.array([1, 2, 4], dtype=np.uint8)).item()
# -> 7
## numpy: vectorize
import numpy as np
def f(): return np.vectorize(lambda x: x * x)(np.arange(3)).tolist()
# -> [0, 1, 4]
## numpy: a large array
import numpy as np
def f(): return float(np.ones(10**6).cumsum()[-1])
# -> 1000000.0
## numpy: printing
import numpy as np
def f():
    print(np.ones((3, 3)))
    return repr(np.float64(1.5))
# -> 'np.float64(1.5)'
## numpy: returns an integer of numpy
import numpy as np
def f(): return np.int64(3)
# -> 3
## numpy: returns numbers of numpy in a list
import numpy as np
def f(): return [np.float32(0.5), np.bool_(True)]
# -> [0.5, True]
## itertools: products
import itertools
def f(): return len(list(itertools.product(range(3), repeat=4)))
# -> 81
## itertools: combinations
import itertools
def f(): return sum(1 for a, b, c in itertools.combinations(range(9), 3) if (a + b + c) % 3 == 0)
# -> 30
## itertools: groups
import itertools
def f(): return [(k, len(list(g))) for k, g in itertools.groupby("aabbb")]
# -> [('a', 2), ('b', 3)]
## itertools: chains and slices
from itertools import accumulate, chain, islice, permutations, zip_longest
def f(): return list(islice(chain(accumulate([1, 2, 3]), zip_longest([1], [2])), 4))
# -> [1, 3, 6, (1, 2)]
## math: functions
import math
def f(): return [math.gcd(12, 18), math.comb(5, 2), math.isqrt(17), round(math.log(math.e), 6), math.inf > 1]
# -> [6, 10, 4, 1.0, True]
## math: big numbers
import math
def f(): return len(str(math.factorial(500)))
# -> 1135
## heapq: a heap
import heapq
def f():
    heap = []
    for x in [3, 1, 2]: heapq.heappush(heap, (x, "item"))
    return [heapq.heappop(heap)[0] for _ in range(3)]
# -> [1, 2, 3]
## heapq: largest
import heapq
def f(): return heapq.nlargest(2, [5, 1, 9], key=lambda x: -x)
# -> [1, 5]
## heapq: shortest paths
import heapq
def f():
    graph = {0: [(1, 4), (2, 1)], 1: [(3, 1)], 2: [(1, 2), (3, 5)], 3: []}
    best, queue = {0: 0}, [(0, 0)]
    while queue:
        d, u = heapq.heappop(queue)
        for v, w in graph[u]:
            if d + w < best.get(v, 1e9):
                best[v] = d + w
                heapq.heappush(queue, (d + w, v))
    return best[3]
# -> 4
## collections: counters
from collections import Counter
def f(): return Counter("abca").most_common(1)
# -> [('a', 2)]
## collections: default dictionaries
from collections import defaultdict
def f():
    d = defaultdict(list)
    d["a"].append(1)
    return dict(d)
# -> {'a': [1]}
## collections: queues
from collections import deque
def f():
    q = deque([1, 2, 3], maxlen=3)
    q.append(4)
    q.rotate(1)
    return list(q)
# -> [4, 2, 3]
## collections: named tuples
from collections import namedtuple
Point = namedtuple("Point", "x y")
def f(): return Point(1, 2)._replace(x=5).x
# -> 5
## collections: ordered and chained
from collections import ChainMap, OrderedDict
def f(): return [list(OrderedDict(a=1, b=2)), ChainMap({"a": 1}, {"a": 2, "b": 3})["b"]]
# -> [['a', 'b'], 3]
## functools: a cache
from functools import lru_cache
@lru_cache(maxsize=None)
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
def f(): return fib(80)
# -> 23416728348467685
## functools: reduce and partial
from functools import partial, reduce
def f(): return reduce(lambda a, b: a * b, map(partial(pow, 2), range(4)))
# -> 64
## functools: comparing
from functools import cmp_to_key, total_ordering, wraps, cached_property
def f(): return sorted([3, 1, 2], key=cmp_to_key(lambda a, b: b - a))
# -> [3, 2, 1]
## functools: dispatch
from functools import singledispatch
@singledispatch
def kind(x): return "thing"
@kind.register
def _(x: int): return "int"
def f(): return [kind(1), kind("a")]
# -> ['int', 'thing']
## random: with a seed
import random
def f(): return random.Random(7).randint(0, 1000)
# -> 331
## random: shuffles
import random
def f():
    random.seed(3)
    x = list(range(5))
    random.shuffle(x)
    return sorted(x)
# -> [0, 1, 2, 3, 4]
## random: choices and normals
import random
def f():
    r = random.Random(0)
    return len(r.choices("ab", weights=[1, 2], k=3)) + len(r.sample(range(9), 4)) + (abs(r.gauss(0, 1)) < 9)
# -> 8
## bisect: insertion
import bisect
def f():
    x = [1, 3, 5]
    bisect.insort(x, 4)
    return [x, bisect.bisect_left(x, 4)]
# -> [[1, 3, 4, 5], 2]
## fractions: exact
from fractions import Fraction
def f(): return float(sum(Fraction(1, k) for k in (2, 3, 6)))
# -> 1.0
## fractions: limits
from fractions import Fraction
def f(): return str(Fraction(3.14159).limit_denominator(10))
# -> '22/7'
## decimal: precise
from decimal import Decimal, getcontext
def f():
    getcontext().prec = 30
    return str(Decimal(1) / Decimal(8))
# -> '0.125'
## statistics: averages
import statistics
def f(): return [statistics.mean([1, 2, 3]), statistics.median([1, 9, 2]), round(statistics.stdev([1, 2, 3]), 6)]
# -> [2, 2, 1.0]
## statistics: quantiles
from statistics import NormalDist, quantiles
def f(): return [quantiles(range(9), n=2), round(NormalDist(0, 1).cdf(0), 6)]
# -> [[4.0], 0.5]
## dataclasses: plain
from dataclasses import dataclass, field
@dataclass
class Bin:
    room: float
    items: list = field(default_factory=list)
def f():
    b = Bin(3.0)
    b.items.append(1)
    return [b.room, b.items, repr(b)]
# -> [3.0, [1], 'Bin(room=3.0, items=[1])']
## dataclasses: ordered and frozen
import dataclasses
@dataclasses.dataclass(frozen=True, order=True, slots=True)
class Key:
    a: int
    b: int = 0
def f(): return [max(Key(1, 2), Key(1, 3)).b, dataclasses.asdict(Key(1)), len({Key(1), Key(1)})]
# -> [3, {'a': 1, 'b': 0}, 1]
## typing: annotations
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Protocol, Tuple, TypeVar, Union
T = TypeVar("T")
class Pair(NamedTuple):
    x: int
    y: Optional[float] = None
def first(x: List[T], default: Union[T, None] = None) -> T: return x[0]
def f() -> Dict[str, Any]: return {"x": first([Pair(1).x])}
# -> {'x': 1}
## enum: members
import enum
class Colour(enum.IntEnum):
    RED = enum.auto()
    BLUE = enum.auto()
def f(): return [c.name for c in Colour] + [Colour(2).value]
# -> ['RED', 'BLUE', 2]
## classes: inheritance
from abc import ABC, abstractmethod
class Shape(ABC):
    @abstractmethod
    def area(self): ...
class Square(Shape):
    def __init__(self, a): self.a = a
    @property
    def side(self): return self.a
    def area(self): return self.side ** 2
def f(): return Square(3).area()
# -> 9
## classes: operators
class Mod:
    def __init__(self, n): self.n = n % 3
    def __add__(self, o): return Mod(self.n + o.n)
    def __eq__(self, o): return self.n == o.n
    def __hash__(self): return hash(self.n)
def f(): return len({Mod(1) + Mod(2), Mod(3)})
# -> 1
## classes: metaclasses
class Meta(type):
    def __new__(cls, name, bases, space): return super().__new__(cls, name, bases, {**space, "made": True})
class Made(metaclass=Meta): pass
def f(): return Made.made
# -> True
## generators: sending
def echo():
    got = yield
    while True: got = yield got * 2
def f():
    g = echo()
    next(g)
    return g.send(4)
# -> 8
## generators: delegation
def inner(): yield from range(3)
def f(): return [*inner(), *(x for x in inner() if x)]
# -> [0, 1, 2, 1, 2]
## recursion: backtracking
def f(n=6):
    def place(row, cols, d1, d2):
        if row == n: return 1
        return sum(place(row + 1, cols | {c}, d1 | {row + c}, d2 | {row - c})
                   for c in range(n) if c not in cols and row + c not in d1 and row - c not in d2)
    return place(0, frozenset(), frozenset(), frozenset())
# -> 4
## recursion: deep
import sys
def down(n): return 0 if n == 0 else 1 + down(n - 1)
def f():
    sys.setrecursionlimit(5000)
    return down(3000)
# -> 3000
## exceptions: caught
def f():
    try:
        return [1][5]
    except IndexError as error:
        return type(error).__name__
    finally:
        pass
# -> 'IndexError'
## exceptions: of one's own
class Full(Exception): pass
def f():
    try: raise Full("no room") from ValueError()
    except Full as full: return str(full)
# -> 'no room'
## contextlib: managers
from contextlib import contextmanager, suppress
@contextmanager
def managed(): yield 5
def f():
    with managed() as x, suppress(KeyError): return x
# -> 5
## strings: formatting
import re, string
def f(): return f"{3.14159:.2f} {'x':>3} {string.ascii_lowercase[:3]} " + re.sub(r"\\d+", "n", "a12b")
# -> '3.14   x abc anb'
## operator: getters
import operator
def f(): return sorted([(2, "a"), (1, "b")], key=operator.itemgetter(0))[0][1]
# -> 'b'
## copy and pprint
import copy, pprint
def f(): return [copy.deepcopy([[1]])[0], pprint.pformat({"a": 1})]
# -> [[1], "{'a': 1}"]
## json and hashlib
import hashlib, json
def f(): return [json.loads(json.dumps({"a": [1, None]})), hashlib.sha256(b"x").hexdigest()[:6]]
# -> [{'a': [1, None]}, '2d7116']
## time: a budget of one's own
import time
def f():
    end, n = time.monotonic() + 0.01, 0
    while time.monotonic() < end: n += 1
    return n > 0 and time.perf_counter() > 0
# -> True
## match statements and walruses
def f(x=(1, 2)):
    match x:
        case (a, b) if (total := a + b) > 2: return total
        case _: return 0
# -> 3
## closures and globals
count = 0
def bump():
    global count
    count += 1
    return lambda: count
def f():
    bump()
    return bump()()
# -> 2
## array, struct and bytes
import array, struct
def f(): return [array.array("i", [1, 2]).tolist(), struct.unpack("<I", b"\\1\\0\\0\\0")[0], bytes([65]).decode()]
# -> [[1, 2], 1, 'A']
## prints a little
def f():
    print("thinking ...", end="")
    print({"a": 1}, flush=True)
    return 1
# -> 1
## looks at itself
import inspect
def f(): return [f.__name__, list(inspect.signature(lambda a, b=1: 0).parameters)]
# -> ['f', ['a', 'b']]
## graphlib and queue
import graphlib, queue
def f():
    q = queue.PriorityQueue()
    q.put(2); q.put(1)
    return [list(graphlib.TopologicalSorter({1: {0}}).static_order()), q.get()]
# -> [[0, 1], 1]
"""


def _programs() -> dict[str, tuple[str, object]]:
    programs = {}
    for part in PROGRAMS.split("## ")[1:]:
        name, _, rest = part.partition("\n")
        source, _, value = rest.rpartition("# -> ")
        programs[name] = (source, ast.literal_eval(value))
    return programs


HONEST = _programs()
