import asyncio


class Error(Exception):
    pass


class TimeoutError(Error, asyncio.TimeoutError):
    pass
