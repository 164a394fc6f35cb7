"""Functions are copied, compared and pickled by the standard library as they are alone.

Pickling by value (cloudpickle, dill, joblib) is tests/downstream/test_picklers.py.
"""

from harness import Lab

KINDS = """
import abc, asyncio, functools, pickle, copy, sys, types

def function(x, y=2, *args, z: int = 3, **rest) -> int:
    '''Doc.'''
    return x + y + z

def closure(n):
    def inner(x):
        return x + n
    return inner

class Thing:
    def __init__(self, x): self.x = x
    def method(self, y): return self.x + y
    @classmethod
    def make(cls, x): return cls(x)
    @staticmethod
    def twice(x): return 2 * x
    @property
    def value(self):
        result = self.x
        return result

def generator(n):
    got = yield n
    yield from range(n)
    return got

async def coroutine(x):
    await asyncio.sleep(0)
    return x

async def items(n):
    for i in range(n):
        yield i

@functools.lru_cache
def cached(x): return x

@functools.singledispatch
def shown(x): return 'object'

async def collect(): return [await coroutine(1), [i async for i in items(3)]]

KINDS = [function, Thing, Thing.method, Thing.make, Thing.twice, generator, coroutine, items, cached, shown]
"""

REFERENCES = """
from kinds import *
for kind in KINDS:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        try:
            data = pickle.dumps(kind, protocol)
            print(kind.__qualname__, protocol, data, pickle.loads(data) == kind)
        except Exception as error:
            print(kind.__name__, protocol, type(error), error)
for broken in (closure(1), lambda: 0, generator(2), Thing(3).method, items(2)):
    try:
        data = pickle.dumps(broken)
        print(data, pickle.loads(data)(1))
    except Exception as error:
        print(type(error), str(error).split(' at 0x')[0])
"""

COPIES = """
from kinds import *
inner = closure(1)
for kind in [*KINDS, inner]:
    print(kind.__qualname__, copy.copy(kind) is kind, copy.deepcopy(kind) is kind, vars(kind) if kind is function else '')
bound = copy.deepcopy(Thing(1).method)
print(bound(2), bound.__self__.x)
code = function.__code__
print(copy.copy(code) is code, copy.deepcopy(code) is code, code == code.replace(), hash(code) == hash(code.replace()))
print(code == code.replace(co_name='other'), {code: 1}[code.replace()], code in {code}, code == inner.__code__)
print(closure(1).__code__ is closure(2).__code__, closure(1).__code__ == inner.__code__)
clone = types.FunctionType(code, globals(), 'clone', function.__defaults__, function.__closure__)
clone.__kwdefaults__ = function.__kwdefaults__
print(clone(1), asyncio.run(collect()), list(generator(2)), function.__annotations__, function.__doc__)
"""

POOLS = """
import multiprocessing
from kinds import *

def square(x): return x * x

if __name__ == '__main__':
    for method in ('fork', 'spawn', 'forkserver'):
        with multiprocessing.get_context(method).Pool(2) as pool:
            print(method, pool.map(square, range(5)), pool.map(function, range(3)), pool.map(Thing.twice, [4]),
                  pool.map(Thing(5).method, [6]), [thing.x for thing in pool.map(Thing.make, [7])])
"""


def same(lab: Lab, program: str) -> None:
    lab.write("kinds.py", KINDS)
    lab.write("job.py", program)
    plain, observed = lab.plain("job.py"), lab.observed("job.py")
    assert (observed.stdout, observed.stderr, observed.returncode) == (
        plain.stdout,
        plain.stderr,
        0,
    )
    assert plain.stdout.count("\n") > 2
    assert [note for image in observed.images for note in image.notes] == []


def test_pickled_by_reference(lab: Lab) -> None:
    """Functions of every kind pickle to plain's bytes in every protocol, and what fails fails with plain's words."""
    same(lab, REFERENCES)


def test_copied_and_compared(lab: Lab) -> None:
    """Functions and code objects are copied, hashed, compared and reassembled as alone."""
    same(lab, COPIES)


def test_mapped_by_pools(lab: Lab) -> None:
    """Pools of every start method take functions of the script and of its modules."""
    same(lab, POOLS)


def test_code_is_not_marshalled(lab: Lab) -> None:
    """A documented difference: the code of an observed function holds its site, which marshal does not know; it says so."""
    lab.write("job.py", "import marshal\ndef f(): pass\nmarshal.dumps(f.__code__)\n")
    assert lab.plain("job.py").returncode == 0
    observed = lab.observed("job.py")
    assert (observed.returncode, observed.stderr.splitlines()[-1]) == (
        1,
        "ValueError: unmarshallable object",
    )
