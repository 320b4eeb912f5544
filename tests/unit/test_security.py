"""TLS and API keys of a connection, before there is one."""

from pathlib import Path

import pytest

from mosaicolabs.comm.security import Security
from mosaicolabs.exceptions import InvalidInputError

KEY = "msco_vrfeceju4lqivysxgaseefa3tsxs0vrl_1b676530"


def test_the_key_is_not_shown() -> None:
    assert KEY not in repr(Security(api_key=KEY))


def test_the_environment() -> None:
    assert Security.from_env({}) == Security()
    assert Security.from_env({"MOSAICO_TLS": "", "MOSAICO_API_KEY": ""}) == Security()
    values = {
        "MOSAICO_TLS": "Yes",
        "MOSAICO_TLS_CERT_FILE": "ca",
        "MOSAICO_TLS_CLIENT_CERT_FILE": "cert",
        "MOSAICO_TLS_CLIENT_KEY_FILE": "key",
        "MOSAICO_API_KEY": KEY,
    }
    assert Security.from_env(values) == Security(True, "ca", "cert", "key", KEY)
    with pytest.raises(InvalidInputError, match="MOSAICO_TLS is `2`"):
        Security.from_env({"MOSAICO_TLS": "2"})


@pytest.mark.parametrize(
    ("host", "enable_tls", "tls"),
    [("one", False, False), ("one", True, True), ("grpcs://one", False, True), ("grpc://one", False, False)],
)
def test_what_switches_tls_on(host: str, enable_tls: bool, tls: bool) -> None:
    assert Security(enable_tls).arguments(host)["tls"] is tls


def test_files_switch_tls_on(tmp_path: Path) -> None:
    file = tmp_path / "file.pem"
    file.touch()
    assert Security(tls_cert_path=file).arguments("one")["tls"] is True
    pair = Security(client_cert_path=str(file), client_key_path=file).arguments("one")
    assert (pair["tls"], pair["identity"]) == (True, (file, file))
    with pytest.raises(InvalidInputError, match="without TLS"):
        Security(tls_cert_path=file).arguments("grpc://one")
    with pytest.raises(InvalidInputError, match="belong together"):
        Security(client_key_path=file).arguments("one")
    with pytest.raises(FileNotFoundError, match="no file"):
        Security(tls_cert_path=tmp_path / "missing").arguments("one")
