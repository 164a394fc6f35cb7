"""Certificates for tests, made by openssl: right ones, and each kind of wrong one."""

import subprocess
from pathlib import Path

Pair = tuple[Path, Path]  # certificate and key


class Authority:
    """An authority of our own, and what it signs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.certificate, self._key = self._sign_itself("authority")

    def _sign_itself(self, name: str) -> Pair:
        certificate, key = self._paths(name)
        _openssl(
            *("req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-days", "30", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        )
        return certificate, key

    def _paths(self, name: str) -> Pair:
        return self._folder / f"{name}.pem", self._folder / f"{name}.key"

    def self_signed(self) -> Pair:
        """Return a pair for this machine that nobody else has signed."""
        return self._sign_itself("self-signed")

    def pair(self, name: str, host: str = "IP:127.0.0.1", is_expired: bool = False) -> Pair:
        """Return a signed pair for *host*, which a certificate calls its subjectAltName."""
        certificate, key = self._paths(name)
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        _openssl(
            *("req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-subj", f"/CN={name}", "-keyout", str(key), "-out", str(request)),
        )
        extensions.write_text(f"subjectAltName={host}\n")
        _openssl(
            *("x509", "-req", "-in", str(request), "-CA", str(self.certificate)),
            *("-CAkey", str(self._key), "-CAcreateserial", "-extfile", str(extensions)),
            *("-days", "-1" if is_expired else "30", "-out", str(certificate)),
        )
        return certificate, key

    def locked(self, key: Path, path: Path) -> Path:
        """Return *key* with a password, written to *path*."""
        _openssl("ec", "-in", str(key), "-aes256", "-passout", "pass:x", "-out", str(path))
        return path


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60)
