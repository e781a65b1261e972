"""A client with requests: an adapter hands the Context to urllib3."""

from typing import Any

import requests
import requests.adapters
import stage

import dnsbound


class DnsboundAdapter(requests.adapters.HTTPAdapter):
    def __init__(self, context: dnsbound.Context) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 (requests' own)
        super().init_poolmanager(*arguments, ssl_context=self._context, **options)


def fetch(context: dnsbound.Context, url: str) -> str:
    with requests.Session() as session:
        session.mount("https://", DnsboundAdapter(context))
        return session.get(url, timeout=20).text


if __name__ == "__main__":
    with stage.stage() as at, stage.greeting_api(at) as url:
        print(fetch(stage.client(at.files), url))  # hello car54._device.cars.example
