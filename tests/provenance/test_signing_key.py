"""The key that signs: made once for the user alone; a company's is checked before it is taken."""

import datetime
import stat
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from packshot.errors import CredentialsError
from packshot.provenance import signing_key
from packshot.provenance.signing_key import SigningKey

TODAY = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


@pytest.fixture(autouse=True)
def config(tmp_path, monkeypatch):
    """A user without credentials."""
    monkeypatch.setenv("PACKSHOT_CONFIG", str(tmp_path / "config"))
    signing_key.current.cache_clear()
    yield tmp_path / "config" / "credentials"
    signing_key.current.cache_clear()


def named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def certificate(
    key, *, days=(-1, 30), signs=True, extended=ExtendedKeyUsageOID.EMAIL_PROTECTION, ca=False
):
    """A company's certificate, issued by an authority."""
    usage = x509.KeyUsage(signs, False, not signs, False, False, False, False, False, False)
    authority = ec.generate_private_key(ec.SECP256R1())
    built = (
        x509.CertificateBuilder()
        .subject_name(named("Acme"))
        .issuer_name(named("Authority"))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(TODAY + days[0] * DAY)
        .not_valid_after(TODAY + days[1] * DAY)
        .add_extension(x509.BasicConstraints(ca, None), True)
        .add_extension(usage, True)
        .add_extension(x509.ExtendedKeyUsage([extended]), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), False
        )
    )
    return built.sign(authority, hashes.SHA256())


def written(folder, made, key, password=None):
    folder.mkdir(exist_ok=True)
    how = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    (folder / "c.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "k.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)
    )
    return folder / "c.pem", folder / "k.pem"


def test_the_users_own_is_made_once_and_read_by_the_user_alone(config):
    made = signing_key.current()
    assert made.is_own and made.algorithm == "es256"
    assert made.certificate.issuer != made.certificate.subject, "which C2PA would not allow"
    assert stat.S_IMODE((config / "key.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE(config.stat().st_mode) == 0o700
    signing_key.current.cache_clear()
    assert signing_key.current() == made


def test_of_two_processes_at_once_the_key_and_certificate_of_one_stay(config, monkeypatch):
    write, others = signing_key._write_secret, []

    def interrupted(file, data):
        write(file, data)
        if not others:
            others.append(None)
            others[0] = signing_key.current.__wrapped__()

    monkeypatch.setattr(signing_key, "_write_secret", interrupted)
    assert signing_key.current() == others[0]
    signing_key.current.cache_clear()
    assert signing_key.current() == others[0]
    assert [each.name for each in config.parent.iterdir()] == ["credentials"]


def test_without_a_home_that_can_be_written_a_key_serves_this_process(config, monkeypatch):
    config.parent.parent.mkdir(exist_ok=True)
    config.parent.write_text("a file where the folder would be")
    key = signing_key.current()
    key.check()
    assert signing_key.current() is key


@pytest.mark.parametrize(
    "key,algorithm",
    [
        (ec.generate_private_key(ec.SECP256R1()), "es256"),
        (ec.generate_private_key(ec.SECP384R1()), "es384"),
        (ec.generate_private_key(ec.SECP521R1()), "es512"),
        (ed25519.Ed25519PrivateKey.generate(), "ed25519"),
        (rsa.generate_private_key(65537, 2048), "ps256"),
    ],
)
def test_a_companys_key_of_each_kind_is_taken(config, tmp_path, key, algorithm):
    signing_key.use(*written(tmp_path / "given", certificate(key), key))
    signing_key.current.cache_clear()
    now = signing_key.current()
    assert (now.owner, now.algorithm, now.is_own) == ("Acme", algorithm, False)


def test_encrypted_keys_and_pkcs12_are_opened_with_their_password(config, tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    made = certificate(key)
    files = written(tmp_path / "given", made, key, b"secret")
    with pytest.raises(CredentialsError, match="its password is needed"):
        signing_key.use(*files, password="other")
    assert signing_key.use(*files, password="secret").owner == "Acme"
    bundle = tmp_path / "acme.p12"
    how = serialization.BestAvailableEncryption(b"secret")
    bundle.write_bytes(pkcs12.serialize_key_and_certificates(b"acme", key, made, None, how))
    assert signing_key.use(bundle, password="secret").owner == "Acme"


KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize(
    "made,key,words",
    [
        (certificate(KEY, days=(-30, -1)), KEY, r"is valid from .* not today"),
        (certificate(KEY, days=(1, 30)), KEY, "not today"),
        (certificate(KEY), ec.generate_private_key(ec.SECP256R1()), "not of one another"),
        (certificate(KEY, signs=False), KEY, r"not for signing documents"),
        (certificate(KEY, extended=ExtendedKeyUsageOID.SERVER_AUTH), KEY, r"not for signing documents"),
        (certificate(KEY, ca=True), KEY, "is an authority's"),
        (certificate(rsa.generate_private_key(65537, 1024)), KEY, "of no kind"),
    ],
)  # fmt: skip
def test_what_readers_would_refuse_is_refused_before_work_begins(
    config, tmp_path, made, key, words
):
    with pytest.raises(CredentialsError, match=words):
        signing_key.use(*written(tmp_path / "given", made, key))
    assert not config.exists()


def test_one_that_expires_later_is_told_with_what_to_do(config, tmp_path, monkeypatch):
    signing_key.use(*written(tmp_path / "given", certificate(KEY), KEY))
    with pytest.raises(CredentialsError, match="renew it"):
        signing_key.current().check(TODAY + 40 * DAY)


def test_a_command_signs_where_the_key_must_not_leave_its_place(config, tmp_path):
    chain, key = written(tmp_path / "given", certificate(KEY), KEY)
    script = tmp_path / "sign.py"
    script.write_text(
        "import sys\n"
        "from packshot.provenance.signing_key import SigningKey\n"
        f"key = SigningKey(open({str(chain)!r}, 'rb').read(), open({str(key)!r}, 'rb').read())\n"
        "sys.stdout.buffer.write(key.sign(sys.stdin.buffer.read()))\n"
    )
    chosen = signing_key.use(chain, command=f"{sys.executable} {script}")
    assert chosen.key is None and not (config / "key.pem").exists()
    with pytest.raises(CredentialsError, match=r"fails: .*no-such-program"):
        signing_key.use(chain, command="no-such-program")


@pytest.mark.parametrize(
    "text", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nxx\n", bytes(range(256))]
)
def test_files_that_are_something_else_are_told(config, tmp_path, text):
    (tmp_path / "c.pem").write_bytes(text)
    with pytest.raises(CredentialsError):
        signing_key.use(tmp_path / "c.pem", tmp_path / "c.pem")
    config.mkdir(parents=True)
    (config / "certificate.pem").write_bytes(text)
    (config / "key.pem").write_bytes(text)
    with pytest.raises(CredentialsError, match="packshot credentials use"):
        signing_key.current()


def test_signatures_are_those_of_the_key():
    key = signing_key.make_own()
    other = SigningKey(key.chain, signing_key.make_own().key)
    key.check()
    with pytest.raises(CredentialsError, match="not of one another"):
        other.check()


@pytest.mark.parametrize(
    ("system", "words"),
    [
        ("nt", '"C:\\my keys\\sign.exe" --slot 1'),
        ("posix", ["C:\\my keys\\sign.exe", "--slot", "1"]),
    ],
)
def test_a_command_keeps_the_backslashes_of_windows(monkeypatch, system, words):
    with monkeypatch.context() as there:
        there.setattr(signing_key.os, "name", system)
        assert signing_key._words('"C:\\my keys\\sign.exe" --slot 1') == words
