extension BuildScripts {
    /// `layers.py`: applies the layers that `/in/layers.json` lists, of `/blobs`, one over the other below `/out/tree`.
    ///
    /// Somebody else's archives are decompressed and read here and nowhere on the host. Names are taken as paths of a root of
    /// their own: links on the way are followed inside it, and what would leave it ends the build. The last line of a refusal is
    /// `berth-refused WORD TEXT`.
    static let layers = #"""
        import ctypes, gzip, hashlib, json, os, shutil, stat, sys, tarfile, zlib

        plan = json.load(open("/in/layers.json"))
        root, limit, most, depth = "/out/tree", plan["bytes"], plan["entries"], plan["depth"]
        used = count = dropped = unpacked = 0
        own = set()

        def refuse(word, text):
            print("berth-refused", word, "".join(c if c.isprintable() else "?" for c in text)[:300], flush=True)
            sys.exit(24)

        def too_large(what):
            refuse("image_too_large", what)

        class Zstandard:
            """A zstd stream, by the base system's own library: this Python has none."""
            class Part(ctypes.Structure):
                _fields_ = [("at", ctypes.c_void_p), ("size", ctypes.c_size_t), ("done", ctypes.c_size_t)]
            def __init__(self, file):
                self.file, self.library = file, ctypes.CDLL("libzstd.so.1")
                self.library.ZSTD_createDStream.restype = ctypes.c_void_p
                self.library.ZSTD_decompressStream.restype = ctypes.c_size_t
                self.stream = ctypes.c_void_p(self.library.ZSTD_createDStream())
                self.room = ctypes.create_string_buffer(1 << 17)
                self.source, self.wants, self.began = self.Part(None, 0, 0), 0, False
            def read(self, size):
                while True:
                    if self.source.done == self.source.size:
                        self.data = self.file.read(1 << 17)
                        self.source = self.Part(ctypes.cast(ctypes.c_char_p(self.data), ctypes.c_void_p), len(self.data), 0)
                        if not self.data and not self.wants and self.began:
                            return b""
                    out = self.Part(ctypes.cast(self.room, ctypes.c_void_p), min(size, len(self.room)), 0)
                    before, self.began = self.source.done, True
                    self.wants = self.library.ZSTD_decompressStream(self.stream, ctypes.byref(out), ctypes.byref(self.source))
                    if self.library.ZSTD_isError(ctypes.c_size_t(self.wants)):
                        raise ValueError("it is no zstd stream")
                    if out.done:
                        return self.room.raw[:out.done]
                    if not self.data and self.source.done == before:
                        raise EOFError("a zstd stream is cut off")

        class Archive:
            """The uncompressed bytes of a layer, counted and hashed."""
            def __init__(self, file):
                self.file, self.hash = file, hashlib.sha256()
            def read(self, size):
                global unpacked
                data = self.file.read(min(size, 1 << 20))
                self.hash.update(data)
                unpacked += len(data)
                # Layers may write over each other; no sensible image does it so often.
                if unpacked > 4 * limit + (64 << 20):
                    too_large("its layers unpack to more than four times the bound")
                return data

        def place(parts):
            return "/".join([root, *parts])

        def parts_of(name, what):
            try:
                name.encode()
            except UnicodeEncodeError:
                refuse("unsafe_content", what + " holds a name that is not UTF-8")
            parts = [part for part in name.split("/") if part not in ("", ".")]
            if name.startswith("/"):
                refuse("unsafe_content", name + " is an absolute path")
            if ".." in parts:
                refuse("unsafe_content", name + " leads out of the image")
            if len(parts) > depth or any(len(part.encode()) > 255 for part in parts):
                refuse("unsafe_content", name + " lies too deep or is too long")
            return parts

        def made(parts):
            for end in range(len(parts), 0, -1):
                if tuple(parts[:end]) in own:
                    break
                own.add(tuple(parts[:end]))

        def status(parts):
            try:
                return os.lstat(place(parts))
            except (FileNotFoundError, NotADirectoryError):
                return None

        def walk(parts, make):
            """Where a directory of the image really is; links lead where they would with the image as root."""
            here, rest, hops = [], list(reversed(parts)), 0
            while rest:
                part = rest.pop()
                if part in ("", "."):
                    continue
                if part == "..":
                    here = here[:-1]
                    continue
                found = status(here + [part])
                if found and stat.S_ISLNK(found.st_mode):
                    hops += 1
                    if hops > 40:
                        refuse("unsafe_content", "/".join(parts) + " leads over too many links")
                    target = os.readlink(place(here + [part]))
                    if target.startswith("/"):
                        here = []
                    rest.extend(reversed(target.split("/")))
                    continue
                if found and not stat.S_ISDIR(found.st_mode):
                    if not make:
                        return None
                    if tuple(here + [part]) in own:
                        refuse("unsafe_content", "/".join(parts) + " is a directory and something else")
                    remove(here + [part])
                    found = None
                if len(here) > 2 * depth:
                    refuse("unsafe_content", "/".join(parts) + " lies too deep")
                if not found:
                    if not make:
                        return None
                    enter()
                    os.mkdir(place(here + [part]), 0o755)
                here = here + [part]
                if make:
                    made(here)
            return here

        def enter():
            global count
            count += 1
            if count > most:
                too_large("it holds more than %d files" % most)

        def remove(parts):
            global used
            found = status(parts)
            if not found:
                return
            if stat.S_ISDIR(found.st_mode):
                for name in os.listdir(place(parts)):
                    remove(parts + [name])
                os.rmdir(place(parts))
            else:
                if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
                    used -= found.st_size
                os.unlink(place(parts))
            own.discard(tuple(parts))

        def hide(parts):
            """Removes what lower layers have there; what this layer brought stays."""
            found = status(parts)
            if not found:
                return
            if tuple(parts) not in own:
                remove(parts)
            elif stat.S_ISDIR(found.st_mode):
                for name in os.listdir(place(parts)):
                    hide(parts + [name])

        def apply(archive, entry):
            global used, dropped
            parts = parts_of(entry.name, "a layer")
            if not parts:
                return
            base = parts[-1]
            if base.startswith(".wh."):
                folder = walk(parts[:-1], False)
                if folder is None or base == ".wh..wh..opq":
                    for name in os.listdir(place(folder)) if folder is not None else []:
                        hide(folder + [name])
                elif not base.startswith(".wh..wh.") and base[4:] not in ("", ".", ".."):
                    hide(folder + [base[4:]])
                return
            if not (entry.isreg() or entry.isdir() or entry.issym() or entry.islnk()):
                dropped += 1
                return
            if entry.issparse():
                refuse("unsafe_content", entry.name + " is a sparse file")
            enter()
            where = walk(parts[:-1], True) + [base]
            found = status(where)
            if entry.isdir():
                if not (found and stat.S_ISDIR(found.st_mode)):
                    remove(where)
                    os.mkdir(place(where), 0o755)
                made(where)
                return
            if entry.islnk():
                target = parts_of(entry.linkname, entry.name)
                folder = walk(target[:-1], False)
                source = status(folder + target[-1:]) if folder is not None and target else None
                if not source or not (stat.S_ISREG(source.st_mode) or stat.S_ISLNK(source.st_mode)):
                    refuse("unsafe_content", entry.name + " is a link to a file that is not in the image")
                if found and (found.st_dev, found.st_ino) == (source.st_dev, source.st_ino):
                    made(where)
                    return
                remove(where)
                os.link(place(folder + target[-1:]), place(where), follow_symlinks=False)
                made(where)
                return
            remove(where)
            if entry.issym():
                target = entry.linkname
                if not target or "\0" in target or len(target.encode(errors="surrogateescape")) > 4095:
                    refuse("unsafe_content", entry.name + " is a link without an end")
                os.symlink(target, place(where))
            else:
                used += entry.size
                if used > limit:
                    too_large("it is larger than %d MiB unpacked" % (limit >> 20))
                file = os.open(place(where), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o755 if entry.mode & 0o111 else 0o644)
                with os.fdopen(file, "wb") as out:
                    shutil.copyfileobj(archive.extractfile(entry), out, 256 << 10)
            made(where)

        os.umask(0o022)
        os.mkdir(root, 0o755)
        for number, layer in enumerate(plan["layers"], 1):
            print("berth: Unpacking layer", number, "of", len(plan["layers"]), flush=True)
            own.clear()
            try:
                with open("/blobs/" + layer["blob"], "rb") as raw:
                    archive = Archive({"gzip": lambda: gzip.GzipFile(fileobj=raw), "zstd": lambda: Zstandard(raw)}.get(layer["compression"], lambda: raw)())
                    with tarfile.open(fileobj=archive, mode="r|") as tar:
                        for entry in tar:
                            apply(tar, entry)
                            tar.members = []
                    while archive.read(1 << 20):
                        pass
            except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, RecursionError) as error:
                refuse("bad_image", "a layer is no whole archive: " + str(error))
            if archive.hash.hexdigest() != layer["diffID"]:
                refuse("bad_image", "a layer unpacks to something else than its configuration says")
        walk([part for part in plan["directory"].split("/") if part], True)
        if dropped:
            print("berth: Left out", dropped, "devices and pipes", flush=True)
        """#
}
