extension BuildScripts {
    /// `npm.py REGISTRY`: installs what `/in/package-lock.json` has locked of `/in/package.json` below `/out/tree/opt/npm`, and runs no
    /// script of any package.
    static let npm = #"""
        import os, shutil, subprocess, sys

        registry, target = sys.argv[1], "/out/tree/opt/npm"
        for folder in (target, "/out/home", "/out/tmp"):
            os.makedirs(folder)
        for name in ("package.json", "package-lock.json"):
            shutil.copy("/in/" + name, target)
        """# + npmCommand + #"""

        print("berth: Installing packages", flush=True)
        if run("ci"):
            sys.exit(21)
        """#

    /// Defines `run(WORDS…)`: npm in `target`, of `registry` alone.
    static let npmCommand = #"""

        environment = dict(os.environ, NODE_EXTRA_CA_CERTS="/in/ca.crt", PATH="/opt/node/bin:/usr/bin:/bin")
        npm = ["/opt/node/bin/node", "/opt/node/lib/node_modules/npm/bin/npm-cli.js"]
        options = ["--registry", registry + "/", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--no-update-notifier",
                   "--loglevel=error", "--cache", "/out/cache", "--fetch-retries=2", "--fetch-retry-maxtimeout=10000", "--fetch-timeout=60000",
                   "--allow-git=none", "--allow-remote=none", "--allow-file=none", "--allow-directory=none", "--lockfile-version=3"]

        def run(*words):
            return subprocess.run([*npm, *words, *options], cwd=target, env=environment, stdout=subprocess.DEVNULL).returncode

        """#

    /// `registry.py`: npm's own default registry, as `/out/registry`.
    static let registry = #"""
        import os, subprocess

        environment = {"HOME": "/out/home", "PATH": "/opt/node/bin"}
        os.makedirs("/out/home")
        found = subprocess.run(["/opt/node/bin/node", "/opt/node/lib/node_modules/npm/bin/npm-cli.js", "config", "get", "registry"], cwd="/out/home",
                               env=environment, stdout=subprocess.PIPE, check=True)
        with open("/out/registry", "wb") as file:
            file.write(found.stdout.strip())
        """#
}
