"""Certificates: the files of TLS that a destination names, read when a connection is made."""

from __future__ import annotations

import os
import ssl

from rheostat_agent.configuration.destination import Destination
from rheostat_agent.export.transport.reasons import Misconfigured, Reasons


def tls_context(destination: Destination, reasons: Reasons) -> ssl.SSLContext:
    """Return the context of the connections to *destination*. Raises Misconfigured.

    The other side is always verified: by the authorities that the destination names, else by the system's;
    small containers, and interpreters built elsewhere, have none where OpenSSL looks: then by certifi's.
    """
    context = ssl.create_default_context()
    if not _has_authorities(context):
        import certifi

        context.load_verify_locations(cafile=certifi.where())
    if destination.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies, and trusts nobody yet
        read_file(destination.certificate, "CERTIFICATE", reasons)
        try:
            context.load_verify_locations(cafile=destination.certificate)
        except OSError as error:  # SSLError is one
            raise _unfit(destination.certificate, "CERTIFICATE", reasons) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if destination.client_certificate:
        _load_pair(context, destination, reasons)
    return context


def _has_authorities(context: ssl.SSLContext) -> bool:
    """Say whether the system has authorities where OpenSSL looks: in a file, or in a directory by their hashes."""
    if context.cert_store_stats()["x509_ca"]:
        return True
    folder = ssl.get_default_verify_paths().capath
    try:
        return folder is not None and any(name.endswith(".0") for name in os.listdir(folder))
    except OSError:
        return False  # a directory that we may not read is none to OpenSSL either


def _load_pair(context: ssl.SSLContext, destination: Destination, reasons: Reasons) -> None:
    certificate, key = destination.client_certificate, destination.client_key or None
    read_file(certificate, "CLIENT_CERTIFICATE", reasons)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=certificate)
    except OSError as error:  # only this tells which of the two is wrong
        raise _unfit(certificate, "CLIENT_CERTIFICATE", reasons) from error
    if key is not None:
        read_file(key, "CLIENT_KEY", reasons)
    try:
        # A password is never asked for: OpenSSL would ask the terminal.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise _unfit(key or certificate, "CLIENT_KEY", reasons) from error


def read_file(path: str, name: str, reasons: Reasons) -> bytes:
    """Return what is in the file that the variable *name* names. Raises Misconfigured."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        text = f"{reasons.variable(name)}: {path}: {error.strerror}"
        raise Misconfigured(text) from error


def _unfit(path: str, name: str, reasons: Reasons) -> Misconfigured:
    what = "not a key that fits the certificate" if name == "CLIENT_KEY" else "not certificates"
    return Misconfigured(f"{reasons.variable(name)}: {path}: {what}, as PEM")
