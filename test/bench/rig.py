# SPDX-License-Identifier: PostgreSQL
"""What the benchmark and the gates stand on: the server that judges tokens, the fake clouds, the stopwatch, and an
environment with made-up keys and nothing of this machine's own. No packet leaves loopback."""

import os
import pathlib
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
POSTGRES = pathlib.Path("/usr/lib/postgresql/15/bin")
RDS = "orders.cluster-c9akciq32.eu-west-1.rds.amazonaws.com"
AZURE = "orders.postgres.database.azure.com"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
AWS_CONFIG = f"""\
[profile keys]
aws_access_key_id = {KEYS['AWS_ACCESS_KEY_ID']}
aws_secret_access_key = {KEYS['AWS_SECRET_ACCESS_KEY']}
[profile role]
role_arn = arn:aws:iam::123456789012:role/App
source_profile = keys
region = eu-west-1
"""


def fail(why):
    sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {why}")


def output(*command, **options):
    """What a command prints; everything ends when it fails."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    except OSError as error:
        fail(error)
    if done.returncode != 0:
        fail(f"{shlex.join(words)[:200]}: {done.stderr.strip() or f'exit status {done.returncode}'}")
    return done.stdout


def free_port():
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return any_port.getsockname()[1]


class Rig:
    def __init__(self, build, stack):
        self.build, self.stack, self.stage = build, stack, build / "stage"
        self.library = self.stage / "lib/libpqmint.so"
        self.core = self.stage / "lib/pqmint/core.so"
        self.pqmint = self.stage / "bin/pqmint"
        if not self.library.exists():
            fail(f"{self.library} is missing; run: make build")
        self.results = build / "bench"
        self.results.mkdir(exist_ok=True)
        self.stopwatch = self.results / "stopwatch"
        flags = output("pkg-config", "--cflags", "--libs", "libpq", "libcrypto").split()
        signing = [ROOT / "src" / name for name in ("core/token.cc", "base/sigv4.cc", "base/percent.cc")]
        output(os.environ.get("CXX", "c++"), "-std=c++20", "-O2", "-D_GNU_SOURCE", f"-I{ROOT / 'include'}",
               f"-I{ROOT / 'src'}", HERE / "stopwatch.cc", *signing, "-o", self.stopwatch, *flags, "-ldl", "-pthread")

        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pqmint-bench."))
        stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.folder.chmod(0o755)  # the server may run as another user
        stack.callback(self.manage, "stop", check=False)
        self.manage("start")
        facts = (self.folder / "server/env").read_text().splitlines()
        self.server = dict(line.split("=", 1) for line in facts)
        self.port, self.ca = self.server["PQMINT_TEST_PORT"], self.server["PQMINT_TEST_CA"]

        # A port that nobody listens on, and nobody else can take.
        closed = stack.enter_context(socket.socket())
        closed.bind(("127.0.0.1", 0))
        self.closed_port = closed.getsockname()[1]

        (self.folder / "aws").write_text(AWS_CONFIG)
        # A login by token has no use for Kerberos, and pqmint turns it off; the search for a ticket that libpq is spared
        # by that is not to make it look fast.
        self.environment = {
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "PGGSSENCMODE": "disable",
            "AWS_CONFIG_FILE": str(self.folder / "aws"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
            "AWS_CA_BUNDLE": self.ca,
            "SSL_CERT_FILE": self.ca,
        }
        local = f"hostaddr=127.0.0.1 dbname=app sslmode=verify-full sslrootcert={self.ca}"
        self.ours = f"{local} host={RDS} user=iam_user"
        self.azure = f"{local} host={AZURE} user=my-managed-id port={self.port}"
        self.with_password = f"{local} host=localhost user=plain"

    def manage(self, word, check=True):
        environment = os.environ | {"PQMINT_TEST_MODULES": str(self.build / "test/server")}
        subprocess.run([ROOT / "test/server/pqmint-testserver", word, self.folder / "server"], env=environment,
                       check=check, stdout=subprocess.DEVNULL)

    def run(self, *command, **variables):
        return output(*command, env=self.environment | {name: str(value) for name, value in variables.items()})

    def as_server(self, *words):
        """PostgreSQL and PgBouncer refuse to be root; the test server is somebody else then, whose key it is."""
        if os.getuid() != 0:
            return [*words]
        key = os.stat(self.server["PQMINT_TEST_KEY"])
        return ["setpriv", f"--reuid={key.st_uid}", f"--regid={key.st_gid}", "--clear-groups", *words]

    def restart(self):
        self.manage("restart")

    def serve(self, program, *words, ports):
        """Starts a fake that lives as long as we hold its stdin, and gives the ports that it prints."""
        child = self.stack.enter_context(subprocess.Popen(
            [self.build / "test/fake" / program, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        self.stack.callback(child.stdin.close)  # before the wait that Popen's end is
        return [int(child.stdout.readline()) for _ in range(ports)]

    def role(self, port):
        """The environment of one who assumes a role at the STS on this port."""
        return {"AWS_PROFILE": "role", "AWS_ENDPOINT_URL_STS": f"https://localhost:{port}"}

    def entra(self, port):
        """The environment of an application that Entra, on this port, knows."""
        return {"AZURE_AUTHORITY_HOST": f"https://localhost:{port}", "PQMINT_UNSAFE_AUTHORITY": f"localhost:{port}",
                "AZURE_TENANT_ID": "test-tenant", "AZURE_CLIENT_ID": "22222222-aaaa-bbbb-cccc-000000000002",
                "AZURE_CLIENT_SECRET": "made-up-secret"}

    def fake_clouds(self, delays):
        """({delay in ms: environment} for a role, the same for Entra)"""
        words, number = [str(delay) for delay in delays], len(delays)
        tls = [self.server["PQMINT_TEST_CERTIFICATE"], self.server["PQMINT_TEST_KEY"]]
        sts = self.serve("fake_sts", *tls, *words, ports=number)
        entra = self.serve("fake_entra", *tls, self.server["PQMINT_TEST_ENTRA_KEY"], *words, ports=number)
        return dict(zip(delays, map(self.role, sts))), dict(zip(delays, map(self.entra, entra)))

    def token(self, conninfo, **variables):
        return self.run(self.pqmint, "token", conninfo, **variables).strip()

    def psql(self, sql):
        """As the superuser, by Unix socket."""
        return self.run(POSTGRES / "psql", "-XAtqc", sql, f"host={self.server['PQMINT_TEST_SOCKET_DIR']} port={self.port} "
                        "user=postgres dbname=app").strip()
