"""What introspection shows: frames, signatures, source, code."""
import dis
import inspect
import sys


def plain(a, /, b: int = 2, *args, c=3, **kw) -> str:
    """Doc."""
    here = 1
    print([(f.function, f.lineno, f.code_context) for f in inspect.stack()])
    print(sorted(locals()), sys._getframe().f_lineno)
    return f"{a}{b}{here}"


def gen(n):
    for i in range(n):
        print([f.function for f in inspect.stack()], sorted(locals()))
        yield i


async def co(x):
    """Co."""
    return x


async def agen():
    yield 1


class K:
    attr = 1

    def method(self, x):
        return super().__repr__()[:0] + str(x)

    @property
    def prop(self):
        value = self.attr
        return value


print(plain(1), list(gen(2)), K().method(3), K().prop)
for f in (plain, gen, co, agen, K.method, K.prop.fget):
    code = f.__code__
    print(f.__name__, f.__qualname__, f.__module__, f.__doc__, inspect.signature(f), f.__defaults__, f.__kwdefaults__)
    print(code.co_varnames, code.co_names, code.co_freevars, code.co_cellvars, code.co_firstlineno, code.co_flags)
    print(code.co_argcount, code.co_nlocals, code.co_filename == __file__, code.co_consts[0])
    print(inspect.getsource(f), inspect.iscoroutinefunction(f), inspect.isgeneratorfunction(f))
    print(sorted({line for _, _, line in code.co_lines() if line}))
