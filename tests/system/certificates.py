"""certificates.py - an authority of the tests' own, and certificates of every kind from it."""

import datetime
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


class Issued:
    """A certificate with its key; who issues others is an authority."""

    def __init__(self, directory, name, issuer=None, hosts=(), days=90):
        now = datetime.datetime.utcnow()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.issuer = issuer or self
        begins = now - DAY if days > 0 else now + (days - 9) * DAY
        builder = (x509.CertificateBuilder()
                   .subject_name(self.name).issuer_name(self.issuer.name)
                   .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(begins).not_valid_after(now + days * DAY)
                   .add_extension(x509.BasicConstraints(not hosts, None), critical=True))
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), False)
        self.certificate = builder.sign(self.issuer.key, hashes.SHA256())
        self.path = directory / f"{name}.pem"
        self.path.write_bytes(self.pem())

    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self):
        return self.key.private_bytes(serialization.Encoding.PEM,
                                      serialization.PrivateFormat.PKCS8,
                                      serialization.NoEncryption())

    def revoke(self, others):
        """The list of what this one revoked, as PEM."""
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateRevocationListBuilder().issuer_name(self.name)
                   .last_update(now - DAY).next_update(now + DAY))
        for other in others:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(other.certificate.serial_number)
                .revocation_date(now - DAY).build())
        crl = builder.sign(self.key, hashes.SHA256())
        return crl.public_bytes(serialization.Encoding.PEM)

    def files(self, *between):
        """(chain, key): files that a server shows this certificate from."""
        chain, key = self.path.with_suffix(".chain"), self.path.with_suffix(".key")
        chain.write_bytes(self.pem() + b"".join(one.pem() for one in between))
        key.write_bytes(self.key_pem())
        return chain, key

    def context(self, *between):
        """A server's ssl.SSLContext that shows it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.files(*between))
        return context
