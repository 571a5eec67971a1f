"""Writes an OCI image layout: layout.py DIR < DESCRIPTION.

The description is JSON: {"images": [{"tag", "platform", "architecture", "config", "layers": [{"entries": [...], "folder", "compression",
"media_type", "trailing"}]}], "break": …}. An entry is {"name", "type" (file, dir, link, same, device, fifo), "text", "path", "size" (that many
zeros), "link", "mode"}; a folder is taken as it is. `break` spoils the layout in a named way. Nothing is checked: that is the tests' matter.
"""
import ctypes
import gzip
import hashlib
import io
import json
import os
import sys
import tarfile

target, description = sys.argv[1], json.load(sys.stdin)
blobs = target + "/blobs/sha256"
os.makedirs(blobs)
KINDS = {"file": tarfile.REGTYPE, "dir": tarfile.DIRTYPE, "link": tarfile.SYMTYPE, "same": tarfile.LNKTYPE, "device": tarfile.CHRTYPE,
         "fifo": tarfile.FIFOTYPE, "sparse": tarfile.GNUTYPE_SPARSE}


class Zeros(io.RawIOBase):
    def __init__(self, size):
        self.left = size

    def read(self, size=-1):
        size = self.left if size < 0 else min(size, self.left)
        self.left -= size
        return bytes(size)


def blob(data, media_type):
    digest = hashlib.sha256(data).hexdigest()
    with open(blobs + "/" + digest, "wb") as file:
        file.write(data)
    return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data)}


def archive(layer, out):
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        if "folder" in layer:
            tar.add(layer["folder"], arcname=".")
        for entry in layer.get("entries", []):
            info = tarfile.TarInfo(entry["name"])
            info.type = KINDS[entry.get("type", "file")]
            info.mode = int(entry.get("mode", "755"), 8)
            info.linkname = entry.get("link", "")
            data = entry.get("text", "").encode()
            if "path" in entry:
                with open(entry["path"], "rb") as file:
                    data = file.read()
            info.size = entry.get("size", len(data)) if info.isreg() else 0
            tar.addfile(info, Zeros(info.size) if "size" in entry else io.BytesIO(data))


class Hashed:
    def __init__(self, out):
        self.out, self.hash = out, hashlib.sha256()

    def write(self, data):
        self.hash.update(data)
        return self.out.write(data)

    def flush(self):
        pass


def zstd(data):
    library = ctypes.CDLL("libzstd.so.1")
    library.ZSTD_compressBound.restype = library.ZSTD_compress.restype = ctypes.c_size_t
    room = ctypes.create_string_buffer(library.ZSTD_compressBound(ctypes.c_size_t(len(data))))
    size = library.ZSTD_compress(room, ctypes.c_size_t(len(room)), data, ctypes.c_size_t(len(data)), 3)
    return room.raw[:size]


def layer_blob(layer):
    data = io.BytesIO()
    if layer.get("compression", "gzip") == "gzip":
        with gzip.GzipFile(fileobj=data, mode="wb", compresslevel=1, mtime=0) as packed:
            hashed = Hashed(packed)
            archive(layer, hashed)
        kind = "application/vnd.oci.image.layer.v1.tar+gzip"
    else:
        hashed = Hashed(data)
        archive(layer, hashed)
        kind = "application/vnd.oci.image.layer.v1.tar"
    if layer.get("compression") == "zstd":
        data, kind = io.BytesIO(zstd(data.getvalue())), "application/vnd.oci.image.layer.v1.tar+zstd"
    found = blob(data.getvalue() + bytes.fromhex(layer.get("trailing", "")), layer.get("media_type", kind))
    return found, "sha256:" + hashed.hash.hexdigest()


manifests = []
for image in description["images"]:
    layers = [layer_blob(layer) for layer in image["layers"]]
    diff_ids = [diff for _, diff in layers]
    if description.get("break") == "diff_id":
        diff_ids[0] = "sha256:" + "0" * 64
    config = {"architecture": image.get("architecture", "amd64"), "os": "linux", "config": image.get("config", {}),
              "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"), "layers": [found for found, _ in layers]}
    descriptor = blob(json.dumps(manifest).encode(), manifest["mediaType"])
    if "platform" in image:
        descriptor["platform"] = image["platform"]
    if "tag" in image:
        descriptor["annotations"] = {"org.opencontainers.image.ref.name": image["tag"]}
    manifests.append(descriptor)
    last = layers[-1][0]["digest"].split(":")[1]

if description.get("nested"):
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests}
    manifests = [blob(json.dumps(index).encode(), index["mediaType"])]
broken = description.get("break")
if broken == "digest":
    with open(blobs + "/" + last, "r+b") as file:
        file.seek(20)
        file.write(b"\xff")
elif broken == "size":
    manifests[0]["size"] += 1
elif broken == "missing":
    os.unlink(blobs + "/" + last)
elif broken == "sha512":
    manifests[0]["digest"] = "sha512:" + "0" * 128
with open(target + "/oci-layout", "w") as file:
    json.dump({"imageLayoutVersion": "1.0.0"}, file)
with open(target + "/index.json", "w") as file:
    json.dump({"schemaVersion": 2, "manifests": manifests}, file)
