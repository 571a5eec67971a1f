/// What runs inside build machines: the base system's Python, nothing beyond its standard library.
///
/// A machine has no shell. Output of a script that begins with `berth: ` is progress for people.
enum BuildScripts {
    /// `fetch.py INDEX PROJECT FILE SHA256 MEMBER=PATH…`: members of one wheel of the index, as files below `/out/tree`; of a member
    /// with a slash at its end all that is below it.
    static let fetch = """
        import hashlib, html, io, os, re, shutil, sys, urllib.parse, urllib.request, zipfile

        index, project, wanted, digest, *members = sys.argv[1:]
        try:
            page_url = index + "/" + project + "/"
            with urllib.request.urlopen(page_url, timeout=60) as answer:
                page_url, page = answer.geturl(), answer.read(64 << 20).decode()
            links = [html.unescape(link) for link in re.findall(r'href="([^"]+)"', page)]
            link = next((l for l in links if urllib.parse.unquote(l.split("#")[0].rsplit("/", 1)[-1]) == wanted), None)
            if link is None:
                sys.exit("the package index does not hold " + wanted)
            print("berth: Fetching", wanted, flush=True)
            with urllib.request.urlopen(urllib.parse.urljoin(page_url, link), timeout=60) as answer:
                data = answer.read(256 << 20)
        except OSError as error:
            print("urlopen error", error)
            sys.exit(22)
        if hashlib.sha256(data).hexdigest() != digest:
            sys.exit(wanted + " has another hash than the pinned one")
        with zipfile.ZipFile(io.BytesIO(data)) as wheel:
            for info in wheel.infolist():
                for member, path in (text.split("=") for text in members):
                    if info.is_dir() or not (info.filename == member or member.endswith("/") and info.filename.startswith(member)):
                        continue
                    target = "/out/tree/" + path + info.filename[len(member):]
                    os.makedirs(os.path.dirname(target), exist_ok=True)
                    with wheel.open(info) as source, open(target, "wb") as file:
                        shutil.copyfileobj(source, file)
                    os.chmod(target, 0o755 if info.external_attr >> 16 & 0o111 else 0o644)
        """

    /// `compile.py ROOT…`: compiles every module below the roots into the same place below `/out/tree`.
    ///
    /// Unchecked hashes: in a read-only image nothing would ever write a stale one anew, and no start compares times.
    static let compile = """
        import os, py_compile, sys

        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        for root in sys.argv[1:]:
            for folder, folders, files in os.walk(root):
                folders[:] = [name for name in folders if name != "__pycache__"]
                cache = "/out/tree" + folder + "/__pycache__/"
                for name in files:
                    if not name.endswith(".py"):
                        continue
                    os.makedirs(cache, exist_ok=True)
                    path, stem = os.path.join(folder, name), name[:-3]
                    try:
                        py_compile.compile(
                            path, cache + stem + "." + sys.implementation.cache_tag + ".pyc", path, doraise=True, invalidation_mode=mode)
                    except (py_compile.PyCompileError, ValueError, RecursionError):
                        pass
        """

    /// `install.py INDEX REQUIREMENTS CONSTRAINTS`: installs below `/out/tree/opt/mcp` by `/in/requirements.lock`; without one it resolves and
    /// locks first, as `/out/requirements.lock`, and builds what has no wheel. The lock lies where no package puts a file.
    static let install = """
        import os, subprocess, sys

        index, requirements, constraints = sys.argv[1:]
        uv, lock, target = "/opt/berth-build/uv", "/in/requirements.lock", "/out/tree/opt/mcp"
        for folder in (target, "/out/tmp", "/out/home"):
            os.makedirs(folder)
        common = ["--quiet", "--python", "/usr/bin/python3", "--default-index", index]
        wheels = ["--only-binary", ":all:"]
        given = os.path.exists(lock)
        if not given:
            wheels, lock = [], "/out/requirements.lock"
            done = subprocess.run([uv, "pip", "compile", *common, "--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url",
                                   "--constraints", constraints, "--output-file", lock, requirements], stdout=subprocess.DEVNULL)
            if done.returncode:
                sys.exit(20)
            print("berth: Not every package has a wheel; the others are built here", flush=True)
        with open(lock) as file:
            locked = file.read()
        count = sum(1 for line in locked.splitlines() if line[:1] not in ("", " ", "#", "-") and "==" in line)
        print("berth: Installing", count, "packages", flush=True)
        if count:
            done = subprocess.run([uv, "pip", "install", *common, *wheels, "--require-hashes", "--no-deps", "--target", target, "-r", lock])
            if done.returncode:
                sys.exit(21)
        if not given:
            # What was installed by, whatever the code of a package's build wrote there meanwhile.
            os.unlink(lock)
            with open(lock, "x") as file:
                file.write(locked)
        print("berth: Compiling modules", flush=True)
        subprocess.run([sys.executable, "-m", "compileall", "-q", "-j", "2", "--invalidation-mode", "unchecked-hash", "-s", "/out/tree", target],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        """
}
