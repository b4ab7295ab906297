"""The content of attachments: files named by what is in them, written once, never changed."""

import hashlib

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage


def digest(content: bytes) -> str:
    """Return what `content` is asked for by: 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def keep(content: bytes) -> None:
    """Keep `content`. What a newer version of a document replaced stays, to be brought back."""
    name = _name(digest(content))
    if not default_storage.exists(name):
        default_storage.save(name, ContentFile(content))


def content(key: str) -> bytes:
    """Return what was kept under the digest `key`."""
    with default_storage.open(_name(key)) as file:
        kept: bytes = file.read()
        return kept


def _name(key: str) -> str:
    return f"{key[:2]}/{key[2:4]}/{key}"
