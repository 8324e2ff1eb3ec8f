"""Issues the certificates that an overlay's Certificate objects ask for, as cert-manager would, with the openssl program."""
import subprocess

from rendered import of_kind

USAGES = {"digital signature": ("keyUsage", "digitalSignature"), "server auth": ("extendedKeyUsage", "serverAuth"),
          "client auth": ("extendedKeyUsage", "clientAuth")}


def openssl(*words):
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def extensions(spec):
    names = [f"DNS:{name}" for name in spec.get("dnsNames", [])] + [f"URI:{uri}" for uri in spec.get("uris", [])]
    lines = ["basicConstraints=critical,CA:FALSE", f"subjectAltName={','.join(names)}"]
    for extension in ("keyUsage", "extendedKeyUsage"):
        values = [value for where, value in map(USAGES.__getitem__, spec["usages"]) if where == extension]
        lines.append(f"{extension}=critical,{','.join(values)}")
    return "\n".join(lines)


def make_key(spec, path):
    assert (spec["privateKey"]["algorithm"], spec["privateKey"]["size"]) == ("ECDSA", 256)
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)


def issue(overlay, folder):
    """Secret name -> {"ca.crt", "tls.crt", "tls.key"}, for every Certificate but the authority itself."""
    folder.mkdir()
    specs = {thing["metadata"]["name"]: thing["spec"] for thing in of_kind(overlay, "Certificate")}
    ca = specs.pop("dropbp-ca")
    assert ca["isCA"]
    make_key(ca, folder / "ca.key")
    openssl("req", "-x509", "-new", "-key", folder / "ca.key", "-subj", f"/CN={ca['commonName']}", "-days", "30",
            "-out", folder / "ca.crt")
    secrets = {}
    for name, spec in specs.items():
        key, request, certificate, extra = (folder / f"{name}.{end}" for end in ("key", "csr", "crt", "ext"))
        make_key(spec, key)
        extra.write_text(extensions(spec))
        openssl("req", "-new", "-key", key, "-subj", f"/CN={spec['commonName']}", "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", folder / "ca.crt", "-CAkey", folder / "ca.key",
                "-CAcreateserial", "-days", "7", "-extfile", extra, "-out", certificate)
        secrets[spec["secretName"]] = {"ca.crt": (folder / "ca.crt").read_bytes(), "tls.crt": certificate.read_bytes(),
                                       "tls.key": key.read_bytes()}
    return secrets
