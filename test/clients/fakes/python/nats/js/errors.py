from ..errors import Error


class APIError(Error):
    def __init__(self, description):
        self.description = description


class NoStreamResponseError(Error):
    pass
