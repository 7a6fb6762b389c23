import os

import pytest

MODELS = ["via-chat", "via-responses", "via-anthropic", "via-gemini"]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


@pytest.fixture(params=MODELS)
def model(request):
    return request.param


@pytest.fixture
def base():
    return os.environ["OPTIMUX_BASE"]


@pytest.fixture
def key():
    return os.environ["OPTIMUX_KEY"]


@pytest.fixture
def pixel():
    return PIXEL
