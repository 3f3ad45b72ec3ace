"""The key that pictures are signed with: the user's own, made at the first use, or a company's."""

from __future__ import annotations

import datetime
import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import tomlkit
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from packshot.errors import CredentialsError, DiskFullError, WriteError
from packshot.utils import files, pathnames, reading

_CERTIFICATE, _KEY, _SETTINGS = "certificate.pem", "key.pem", "credentials.toml"
_YEARS = 10
_USAGES = {
    ExtendedKeyUsageOID.EMAIL_PROTECTION,
    x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36"),  # document signing
    x509.ObjectIdentifier("1.3.6.1.4.1.62558.2.1"),  # C2PA claim signing
}
"""One of these a certificate must be for (C2PA 2.1, 14.5.1)."""
_CURVES = {"secp256r1": ("es256", 32), "secp384r1": ("es384", 48), "secp521r1": ("es512", 66)}
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "es256": hashes.SHA256(), "es384": hashes.SHA384(), "es512": hashes.SHA512(),
}  # fmt: skip
_OWN_AUTHORITY = x509.Name(
    [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "self-signed"),
        x509.NameAttribute(NameOID.COMMON_NAME, "Packshot user's own machine"),
    ]
)
"""Who issues the user's own certificate: C2PA (2.1, 14.5.1) allows none that its own key has signed."""
_MAX_BYTES = 2**20
_COMMAND_SECONDS = 60


@dataclass(frozen=True)
class SigningKey:
    """A certificate chain with what signs in its name.

    Attributes:
        chain: certificates in PEM, the signer's first.
        key: the private key in PEM, or None where a command signs.
        command: reads from its standard input what to sign, and writes the signature.
        timestamp_url: of a time stamp authority (RFC 3161), which is asked for each picture.
    """

    chain: bytes
    key: bytes | None
    command: str = ""
    timestamp_url: str | None = None

    @property
    def certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificates(self.chain)[0]

    @property
    def algorithm(self) -> str:
        """C2PA's name of the algorithm.

        Raises:
            CredentialsError: C2PA has none for keys of this kind.
        """
        public = self.certificate.public_key()
        if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in _CURVES:
            return _CURVES[public.curve.name][0]
        if isinstance(public, rsa.RSAPublicKey) and public.key_size >= 2048:
            return "ps256"
        if isinstance(public, ed25519.Ed25519PublicKey):
            return "ed25519"
        raise CredentialsError(
            "The certificate's key is of no kind that Content Credentials take: make one of ECDSA "
            "P-256, P-384 or P-521, Ed25519, or RSA with at least 2048 bits."
        )

    @property
    def is_own(self) -> bool:
        """Whether the certificate is self-made: it proves that pictures were not changed, not whose."""
        return self.certificate.issuer in (_OWN_AUTHORITY, self.certificate.subject)

    @property
    def owner(self) -> str:
        """Whom the certificate names."""
        for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
            if named := self.certificate.subject.get_attributes_for_oid(kind):
                return str(named[0].value)
        return self.certificate.subject.rfc4514_string()

    def check(self, now: datetime.datetime | None = None) -> None:
        """Refuse what readers would refuse, before any work begins.

        Raises:
            CredentialsError: expired or not yet valid, not for signing, or key and certificate are
                not of one another.
        """
        own, now = self.certificate, now or datetime.datetime.now(datetime.UTC)
        named = f"The certificate of {self.owner}"
        if not own.not_valid_before_utc <= now <= own.not_valid_after_utc:
            begin, end = (
                f"{day:%Y-%m-%d}" for day in (own.not_valid_before_utc, own.not_valid_after_utc)
            )
            raise CredentialsError(
                f"{named} is valid from {begin} to {end}, not today: renew it, then packshot credentials "
                "use CERT KEY. To work without: provenance = false in packshot.toml."
            )
        _check_usage(own, named)
        _ = self.algorithm
        what = b"packshot"
        try:
            _verify(own.public_key(), self.sign(what), what)
        except InvalidSignature:
            raise CredentialsError(
                f"{named} and the key are not of one another: name the two that belong together."
            ) from None

    def sign(self, data: bytes) -> bytes:
        """The signature of `data`, as C2PA writes it (ECDSA: both numbers one after the other).

        Raises:
            CredentialsError: the command fails.
        """
        if self.key is None:
            return _by_command(self.command, data)
        key: Any = serialization.load_pem_private_key(self.key, None)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            algorithm, size = _CURVES[key.curve.name]
            pair = decode_dss_signature(key.sign(data, ec.ECDSA(_HASHES[algorithm])))
            return b"".join(number.to_bytes(size, "big") for number in pair)
        if isinstance(key, rsa.RSAPrivateKey):
            return key.sign(data, _pss(), hashes.SHA256())
        return bytes(key.sign(data))


def _pss() -> padding.PSS:
    return padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)


def _verify(public: Any, signature: bytes, data: bytes) -> None:
    if isinstance(public, ec.EllipticCurvePublicKey):
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

        algorithm, size = _CURVES[public.curve.name]
        if len(signature) != 2 * size:
            raise InvalidSignature
        pair = (int.from_bytes(part, "big") for part in (signature[:size], signature[size:]))
        public.verify(encode_dss_signature(*pair), data, ec.ECDSA(_HASHES[algorithm]))
    elif isinstance(public, rsa.RSAPublicKey):
        public.verify(signature, data, _pss(), hashes.SHA256())
    else:
        public.verify(signature, data)


def _by_command(command: str, data: bytes) -> bytes:
    try:
        done = subprocess.run(
            _words(command),
            input=data,
            capture_output=True,
            timeout=_COMMAND_SECONDS,
            check=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        told = getattr(error, "stderr", b"") or b""
        raise CredentialsError(
            f"The command that signs, {command}, fails: {told.decode(errors='replace').strip() or error}"
        ) from error
    return done.stdout


def _words(command: str) -> str | list[str]:
    """A command as it is started: Windows parts its words by itself, and a backslash parts its paths."""
    return command if os.name == "nt" else shlex.split(command)


def _check_usage(own: x509.Certificate, named: str) -> None:
    def of(kind: Any) -> Any:
        try:
            return own.extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            return None

    basic, usage, extended = map(of, (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage))
    if basic and basic.ca:
        raise CredentialsError(f"{named} is an authority's: name one that it has issued.")
    if usage is None or not usage.digital_signature or not extended or not _USAGES & set(extended):
        raise CredentialsError(
            f"{named} is not for signing documents: its key usage must have digitalSignature, its "
            "extended key usage email protection, document signing or C2PA claim signing."
        )


def folder() -> Path:
    """The user's configuration folder for credentials (`PACKSHOT_CONFIG` overrides its parent)."""
    import platformdirs

    chosen = os.environ.get("PACKSHOT_CONFIG") or platformdirs.user_config_dir("packshot")
    return Path(chosen) / "credentials"


@lru_cache
def current() -> SigningKey:
    """The key in use; where there is none yet, one of the user's own is made.

    Raises:
        CredentialsError: what is there cannot be used, or is expired.
    """
    place = folder()
    certificate = place / _CERTIFICATE
    if not pathnames.exists(certificate):
        made = make_own()
        try:
            _keep(place, made)
        except (OSError, DiskFullError, WriteError):
            return made  # a home that cannot be written: a key for this process alone
    settings = reading.read_toml(place / _SETTINGS) if pathnames.exists(place / _SETTINGS) else {}
    command = str(settings.get("command", ""))
    key = None if command else _read(place / _KEY)
    try:
        found = SigningKey(_read(certificate), key, command, settings.get("timestamp_url") or None)
        found.check()
    except ValueError as error:
        raise CredentialsError(
            f"{place} holds no certificate with its key ({error}): packshot credentials use CERT KEY."
        ) from error
    return found


def make_own(name: str = "Packshot user") -> SigningKey:
    """A new certificate (ECDSA P-256) with the key usages that C2PA asks for.

    It is issued by an authority whose key is made here, too, and forgotten.
    """
    key, authority = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "self-signed"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_OWN_AUTHORITY)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(False, None), True)
        .add_extension(usage, True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), False
        )
        .sign(authority, hashes.SHA256())
    )
    return SigningKey(made.public_bytes(serialization.Encoding.PEM), _in_pem(key))


def use(
    certificate: Path,
    key: Path | None = None,
    *,
    password: str | None = None,
    command: str = "",
    timestamp_url: str | None = None,
) -> SigningKey:
    """Sign with another certificate from now on; it is checked first.

    Certificate and key are copied into the user's configuration folder, the key without its password
    and readable by the user alone.

    Args:
        certificate: PEM (the signer's first, then those that issued it), or PKCS#12 with the key in it.
        key: PEM; not with PKCS#12 or a command.
        command: signs instead of a key, which may so stay in a hardware module; see `SigningKey`.

    Raises:
        CredentialsError: not such files, a wrong password, or as `SigningKey.check`.
    """
    secret = password.encode() if password else None
    try:
        chain, inside = _chain_of(_read(certificate), secret)
        text = _read(key) if key else None
        given = serialization.load_pem_private_key(text, secret) if text else inside
    except (ValueError, TypeError) as error:
        raise CredentialsError(
            f"{certificate} and {key} cannot be read as certificate and key ({error}). Name PEM or "
            "PKCS#12 files; of an encrypted key its password is needed."
        ) from error
    if (given is None) == (not command):
        raise CredentialsError("Name either the key's file or a command that signs.")
    chosen = SigningKey(chain, None if given is None else _in_pem(given), command, timestamp_url)
    chosen.check()
    _write(folder(), chosen)
    current.cache_clear()
    return chosen


def _chain_of(data: bytes, password: bytes | None) -> tuple[bytes, Any]:
    if b"-----BEGIN CERTIFICATE" in data:
        found: Sequence[x509.Certificate] = x509.load_pem_x509_certificates(data)
        inside = None
    else:
        inside, own, others = pkcs12.load_key_and_certificates(data, password)
        if own is None:
            raise ValueError("there is no certificate in it")
        found = [own, *others]
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in found), inside


def _in_pem(key: Any) -> bytes:
    return bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(_MAX_BYTES)
    except OSError as error:
        raise CredentialsError(f"{file} cannot be read: {error.strerror}.") from error


def _keep(place: Path, made: SigningKey) -> None:
    """Put a key where there is none: whole at once, so that the first of several processes' stays."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".credentials-") as beside:
        whole = Path(beside) / place.name
        _write(whole, made)
        try:
            whole.rename(place)
        except OSError:  # another process was quicker, or somebody left something there
            if not pathnames.exists(place / _CERTIFICATE):
                _write(place, made)


def _write(place: Path, key: SigningKey) -> None:
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if key.key:
        _write_secret(place / _KEY, key.key)
    settings = {"command": key.command, "timestamp_url": key.timestamp_url or ""}
    files.write_text(place / _SETTINGS, tomlkit.dumps(settings))
    files.write_bytes(place / _CERTIFICATE, key.chain)  # last: it says that the rest is there


def _write_secret(file: Path, data: bytes) -> None:
    """Write what nobody else may read at any moment."""
    part = file.with_suffix(".part")
    part.unlink(missing_ok=True)
    opened = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(opened, "wb") as writing:
        writing.write(data)
        writing.flush()
        os.fsync(writing.fileno())
    part.replace(file)
