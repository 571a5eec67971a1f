extension BuildScripts {
    /// `resolve.py INDEX REQUIREMENTS CONSTRAINTS`: chooses versions by wheels alone, so that nothing of a package runs: `/out/requirements.lock`,
    /// and none where a package has to be built to be known. What the index tells of the releases of `/in/releases.json` becomes
    /// `/out/releases.json`; what it does not tell, or not within bounds, is left out.
    static let resolve = release + #"""

        import re, subprocess

        index, requirements, constraints = sys.argv[1:]
        lock = "/out/requirements.lock"
        for folder in ("/out/tmp", "/out/home"):
            os.makedirs(folder)
        print("berth: Choosing versions", flush=True)
        done = subprocess.run(
            ["/opt/berth-build/uv", "pip", "compile", "--quiet", "--python", "/usr/bin/python3", "--default-index", index, "--generate-hashes",
             "--no-header", "--no-annotate", "--no-emit-index-url", "--constraints", constraints, "--output-file", lock, requirements,
             "--only-binary", ":all:"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
        locked = {}
        if done.returncode:
            # Where no wheel is missed, no build from source helps.
            if "wheel" not in done.stderr.lower():
                sys.stderr.write(done.stderr)
                sys.exit(20)
            if os.path.exists(lock):
                os.unlink(lock)
        else:
            with open(lock) as file:
                locked = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", file.read(), re.MULTILINE))

        def plain(name):
            return re.sub(r"[-_.]+", "-", name).lower()

        locked = {plain(name): version for name, version in locked.items()}

        def version_of(file, name):
            stem = re.sub(r"\.(whl|tar\.gz|zip|tar\.bz2|egg)$", "", file)
            for end in [match.start() for match in re.finditer("-", stem)]:
                if plain(stem[:end]) == name:
                    return stem[end + 1:].split("-")[0] if file.endswith(".whl") else stem[end + 1:]

        def same(one, other):
            return re.sub(r"(\.0)+$", "", one.lower()) == re.sub(r"(\.0)+$", "", other.lower())

        def look(name, version):
            files = []
            page = fetch(index + "/" + name + "/", "application/vnd.pypi.simple.v1+json", 32 << 20)
            for file in page["files"]:
                found = version_of(str(file["filename"]), name)
                if found:
                    files.append((found, when(file.get("upload-time")), file.get("size"), file["filename"].endswith(".whl")))
            version = version or max((file for file in files if file[1]), key=lambda file: file[1], default=(None,))[0]
            own = [file for file in files if version and same(file[0], version)]
            # The newest file counts: one may be added to an old release. Where one has no time, the release has none.
            times, sizes = [file[1] for file in own], [file[2] for file in own if file[3]] or [file[2] for file in own]
            result = {"name": name, "version": version, "uploaded": max(times) if times and all(times) else None,
                      "bytes": max((size for size in sizes if isinstance(size, int)), default=None)}
            if index.endswith("/simple") and version:
                # Of this release, else of the project, whose owners are the same.
                for place in (urllib.parse.quote(version, safe="") + "/json", "json"):
                    try:
                        page = fetch("%s/pypi/%s/%s" % (index[:-7], name, place), "application/json", 8 << 20)
                        owners, info = page.get("ownership") or {}, page["info"]
                        people = [owners.get("organization")] + [role.get("user") for role in owners.get("roles") or []]
                        result["publishers"] = list(dict.fromkeys(text(one, 100) for one in people if isinstance(one, str)))[:10]
                        if same(str(info.get("version", version)), version):
                            result["author"] = next(
                                (text(info.get(key), 200) for key in ("author", "author_email", "maintainer", "maintainer_email") if info.get(key)), None)
                        break
                    except WRONG:
                        pass
            return result

        tell(lambda one: look(one["name"], locked.get(one["name"]) or one.get("version")))
        """#

    /// `lock.py REGISTRY`: locks what `/in/package.json` names as `/out/package-lock.json`, and tells of it as ``resolve`` does.
    static let npmLock = release + #"""

        import shutil, subprocess

        registry, target = sys.argv[1], "/out/lock"
        for folder in (target, "/out/home", "/out/tmp"):
            os.makedirs(folder)
        shutil.copy("/in/package.json", target)
        print("berth: Choosing versions", flush=True)
        """# + npmCommand + #"""

        if run("install", "--package-lock-only"):
            sys.exit(20)
        shutil.copy(target + "/package-lock.json", "/out/package-lock.json")

        def look(name):
            with open("/out/package-lock.json") as file:
                version = json.load(file)["packages"]["node_modules/" + name]["version"]
            page = fetch(registry + "/" + urllib.parse.quote(name, safe="@"), "application/json", 48 << 20)
            own = page["versions"][version]
            author = own.get("author")
            result = {"name": name, "version": version, "uploaded": when((page.get("time") or {}).get(version)),
                      "bytes": (own.get("dist") or {}).get("unpackedSize"),
                      "author": text(author.get("name") if isinstance(author, dict) else author, 200) if author else None}
            people = [own.get("_npmUser") or {}] + (page.get("maintainers") or [])
            result["publishers"] = list(dict.fromkeys(text(one.get("name"), 100) for one in people if isinstance(one, dict) and one.get("name")))[:10]
            return result

        tell(lambda one: look(one["name"]))
        """#

    /// What both have: an index's documents are somebody else's, so their size and time are bounded, and whatever is wrong in one is unknown.
    private static let release = #"""
        import datetime, json, os, sys, time, urllib.error, urllib.parse, urllib.request

        WRONG = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)
        deadline = time.monotonic() + 60

        def fetch(url, kind, limit):
            data = bytearray()
            request = urllib.request.Request(url, headers={"Accept": kind, "User-Agent": "berth"})
            with urllib.request.urlopen(request, timeout=20) as answer:
                while True:
                    piece = answer.read1(1 << 20)
                    if not piece:
                        return json.loads(data)
                    data += piece
                    if len(data) > limit or time.monotonic() > deadline:
                        raise ValueError

        def when(given):
            if not isinstance(given, str) or len(given) > 40:
                return None
            moment = datetime.datetime.fromisoformat(given.replace("Z", "+00:00"))
            return int(moment.timestamp()) if moment.tzinfo else None

        def text(given, most):
            return given[:most] if isinstance(given, str) else None

        def tell(look):
            found = []
            with open("/in/releases.json") as file:
                asked = json.load(file)
            for one in asked:
                try:
                    found.append(look(one))
                except WRONG:
                    pass
            with open("/out/releases.json", "w") as file:
                json.dump({"releases": found}, file)
        """#
}
