"""Context variables of the program's own: none is carried where it was not."""
import asyncio
import contextvars
import decimal
import threading
from concurrent.futures import ThreadPoolExecutor

var = contextvars.ContextVar("var", default=0)


def read():
    return var.get(), decimal.getcontext().prec


def in_thread(function):
    out = []
    thread = threading.Thread(target=lambda: out.append(function()))
    thread.start()
    thread.join()
    return out


def initialise():
    var.set(9)
    decimal.getcontext().prec = 5


def main():
    var.set(5)
    decimal.getcontext().prec = 10
    print(read(), in_thread(read))
    with ThreadPoolExecutor(1, initializer=initialise) as pool:
        print(pool.submit(read).result(), list(pool.map(lambda _: read(), [1, 2])))
        try:
            pool.submit(lambda: 1 / 0).result()
        except ZeroDivisionError:
            import traceback

            traceback.print_exc()


async def tasks():
    var.set(7)
    loop = asyncio.get_running_loop()
    print(await asyncio.to_thread(read), (await loop.run_in_executor(None, read))[0])
    return await asyncio.gather(*(asyncio.create_task(co(i)) for i in range(3)))


async def co(i):
    var.set(i)
    await asyncio.sleep(0)
    return read()[0]


main()
print(asyncio.run(tasks()), var.get())
