import Foundation
import TestSupport
import Testing

/// Backups that were changed by somebody who knows the format, and states that were prepared for who reads them as root.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct BackupDamageTests {
    /// A state that was never called, and its folder.
    private static func backup(_ berth: Berth) async throws -> (folder: String, file: String) {
        try await berth.up()
        let folder = (berth.state as NSString).deletingLastPathComponent
        try writeFile("hidden\n", to: folder + "/secret")
        try await berth.add("fixture", fixture: "fixture.py", ["--secret", "KEY=@\(folder)/secret"])
        // Rows for the audit log.
        try await berth.json(["vmcp", "create", "office", "fixture"])
        _ = try await berth.token(for: "alice", vmcp: "office")
        #expect(try await berth.run(["down"]).status == 0)
        let file = folder + "/berth.backup"
        let made = try await berth.run(["backup", file, "--no-images"])
        #expect(made.status == 0, "\(made)")
        return (folder, file)
    }

    /// Rewrites an archive, its manifest with it: `edit` is Python that changes `files`, a dictionary of names and bytes.
    private static let rewrite = """
        import hashlib, io, json, os, sqlite3, subprocess, sys, tarfile, tempfile
        def sql(data, *statements):
            with tempfile.NamedTemporaryFile() as file:
                file.write(data); file.flush()
                database = sqlite3.connect(file.name)
                for statement in statements: database.execute(statement)
                database.commit(); database.close()
                return open(file.name, "rb").read()
        with tarfile.open(sys.argv[1]) as tar: files = {member.name: tar.extractfile(member).read() for member in tar}
        mark, manifest = files.pop("berth-backup"), json.loads(files.pop("manifest.json"))
        del files["manifest.sha256"]
        rows = next(name for name in files if name.endswith(".rows"))
        # The state's own images are not in it; a small one is, to be changed.
        def digest(data): return hashlib.sha256(data).hexdigest()
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            with open(folder + "/file", "w") as file: file.write("text")
            os.chmod(folder + "/file", 0o644)
            os.symlink("/etc/alternatives/x", folder + "/link")
            data = subprocess.run(["tar", "--format=gnu", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-C", folder, "-c", "."],
                capture_output=True, check=True).stdout
        images = "orchestrator/images/"
        layer = images + "layers/" + digest(data) + ".tar"
        files[layer] = data
        document = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest(data)]},
            "config": {"Entrypoint": ["/x"], "Env": [], "WorkingDir": "/", "User": "1000:1000"}}).encode()
        config = images + "configs/" + digest(document) + ".json"
        files[config] = document
        document = json.dumps({"schemaVersion": 2, "mediaType": "m", "config": {"mediaType": "c", "digest": "sha256:" + digest(document), "size": 1},
            "layers": [{"mediaType": "l", "digest": "sha256:" + digest(data), "size": len(data)}]}).encode()
        image = images + "manifests/" + digest(document) + ".json"
        files[image] = document
        def escaping():
            # Layers that no Berth made, under names that hold.
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
                member = tarfile.TarInfo("./up"); member.type = tarfile.SYMTYPE; member.linkname = "/var/tmp"; tar.addfile(member)
                member = tarfile.TarInfo("./up/berth-was-here"); member.size = 4; tar.addfile(member, io.BytesIO(b"text"))
            files[images + "layers/" + digest(out.getvalue()) + ".tar"] = out.getvalue()
        exec(sys.argv[3])
        manifest["files"] = [{"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()]
        with tarfile.open(sys.argv[2], "w", format=tarfile.USTAR_FORMAT) as tar:
            last = json.dumps(manifest).encode()
            seal = hashlib.sha256(last).hexdigest().encode() + b"\\n"
            for name, data in [("berth-backup", mark), *files.items(), ("manifest.json", last), ("manifest.sha256", seal)]:
                member = tarfile.TarInfo(name); member.size = len(data); tar.addfile(member, io.BytesIO(data))
        """

    @Test func whatTheManifestCannotTellIsFound() async throws {
        try await Berth.run { berth in
            let (folder, file) = try await Self.backup(berth)
            let target = folder + "/target"
            let rows: [(edit: String, complaint: String)] = [
                ("pass", ""),
                ("files['gateway/keys'] = files['orchestrator/keys']", "is sealed with key"),
                ("files['orchestrator/keys'] = files['gateway/keys']", "is sealed with key"),
                ("files['gateway/keys'] = b'berth-keys 1\\n'", "is not a key file"),
                ("del files['gateway/keys']", "gateway/keys is missing"),
                ("del files['gateway/gateway.db']", "gateway/gateway.db"),
                ("files['gateway/gateway.db'] = b'a' * 8192", "gateway/gateway.db is damaged"),
                ("d = bytearray(files['gateway/gateway.db']); d[8192:12288] = b'x' * 4096; files['gateway/gateway.db'] = bytes(d)", "is damaged"),
                ("files['gateway/gateway.db'] = sql(files['gateway/gateway.db'], \"UPDATE secrets SET name = 'OTHER'\")", "does not open"),
                ("files['gateway/gateway.db'] = sql(files['gateway/gateway.db'], \"INSERT INTO grdb_migrations VALUES ('v9')\")", "newer berth"),
                ("files['gateway/gateway.db'] = sql(files['gateway/gateway.db'], \"INSERT INTO secrets VALUES ('nobody', 'A', x'01')\")", "is damaged"),
                ("files['orchestrator/orchestrator.db'] = sql(files['orchestrator/orchestrator.db'], 'DROP TABLE grdb_migrations')", "no tables of Berth's"),
                ("files[rows] = files[rows].replace(b'alice', b'aline') if b'alice' in files[rows] else files[rows][:40] + b'!' + files[rows][41:]", "the audit log does not hold"),
                ("files[rows] = files[rows].split(b'\\n', 1)[1]", "the audit log does not hold"),
                ("files[layer] = files[layer][:600] + bytes([files[layer][600] ^ 1]) + files[layer][601:]", "is not what its name says"),
                ("del files[layer]", "an image lacks"),
                ("del files[config]", "an image lacks"),
                ("files[image] += b' '", "is not what its name says"),
                ("files[config] += b' '", "is not what its name says"),
                ("manifest['holdsImages'] = True", "is not in it"),
                ("manifest['stateVersion'] = 7", "newer berth"),
            ]
            let escape = folder + "/escape"
            let made = try await Command.run(["/usr/bin/python3", "-c", Self.rewrite, file, escape, "escaping()"])
            guard made.status == 0 else { throw Trouble(made.errors) }
            let escaped = try await berth.run(["restore", escape, "--state", target])
            #expect(escaped.status == 1 && access("/var/tmp/berth-was-here", F_OK) != 0 && access(target, F_OK) != 0, "\(escaped)")
            for (edit, complaint) in rows {
                let changed = folder + "/changed"
                let made = try await Command.run(["/usr/bin/python3", "-c", Self.rewrite, file, changed, edit])
                guard made.status == 0 else { throw Trouble("\(edit): \(made.errors)") }
                for arguments in [["restore", changed, "--verify"], ["restore", changed, "--state", target]] {
                    let result = try await berth.run(arguments)
                    let line = result.errors.split(separator: "\n").last.map(String.init) ?? ""
                    if complaint.isEmpty {
                        #expect(result.status == 0, "\(edit) \(arguments): \(line)")
                        try? FileManager.default.removeItem(atPath: target)
                    } else {
                        #expect(result.status == 1 && line.contains(complaint), "\(edit) \(arguments): \(result.status) \(line)")
                        #expect(!line.contains("/run/") && !line.contains("/tmp/gateway"), "\(line)")
                    }
                    #expect(access(target, F_OK) != 0, "\(edit): nothing is made")
                }
                unlink(changed)
            }
        }
    }

    @Test func strangersAreNotOverwritten() async throws {
        try await Berth.run { berth in
            let (folder, file) = try await Self.backup(berth)
            let option = "--state \(berth.state)"
            try await berth.up()
            #expect(try await berth.run(["down"]).status == 0)
            let full = try await berth.run(["restore", file])
            #expect(full.status == 1 && full.errors.contains("\(berth.state) holds a state already") && full.errors.contains("--purge \(option)"), "\(full)")
            // A folder that only looks like the rest of a restore is not cleared away, nor what lies beside it.
            try FileManager.default.createDirectory(atPath: berth.state + "/restoring", withIntermediateDirectories: false)
            try writeFile("mine", to: berth.state + "/restoring/notes")
            #expect(try await berth.run(["restore", file]).status == 1)
            #expect(access(berth.state + "/restoring/notes", F_OK) == 0 && access(berth.state + "/gateway/gateway.db", F_OK) == 0)
            try FileManager.default.removeItem(atPath: berth.state + "/restoring")
            let other = folder + "/other"
            try writeFile("mine", to: other + "/notes")
            chmod(other, 0o700)
            for (arguments, complaint) in [
                (["restore", file, "--state", other], "\(other) holds notes, which is not Berth's"), (["restore", folder], "\(folder) is no file"),
                (["restore", folder + "/none"], "\(folder)/none cannot be read"), (["restore", other + "/notes"], "\(other)/notes is no backup of Berth's"),
                (["backup", folder + "/none/x"], "\(folder)/none/x cannot be written"), (["backup", folder + "/x", "--state", other], "\(other) holds no state"),
            ] {
                let result = try await berth.run(arguments)
                #expect(result.status != 0 && result.errors.contains(complaint), "\(arguments): \(result)")
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: other) == ["notes"])
        }
    }

    /// A gateway that somebody took over prepares its part for the backup that root makes.
    @Test func rootReadsNothingThatTheGatewayPointsAt() async throws {
        try await Berth.run { berth in
            let (folder, _) = try await Self.backup(berth)
            let part = berth.state + "/gateway"
            let uid = getpwnam("berth").pointee.pw_uid
            let secret = folder + "/of-root"
            try writeFile("root's own \(UUID().uuidString)", to: secret)
            let rows = try #require(try FileManager.default.contentsOfDirectory(atPath: part + "/audit").first { $0.hasSuffix(".rows") })
            for name in ["keys", "gateway.db", "audit/" + rows] {
                let path = "\(part)/\(name)"
                for target in [secret, berth.state + "/orchestrator/keys", "/etc/shadow", "/dev/zero"] {
                    rename(path, path + "-away")
                    symlink(target, path)
                    lchown(path, uid, uid)
                    let file = folder + "/prepared"
                    let made = try await berth.run(["backup", file], seconds: 60)
                    #expect(made.status == 1, "\(name) -> \(target): \(made)")
                    #expect(access(file, F_OK) != 0, "nothing half-made is there")
                    unlink(path)
                    rename(path + "-away", path)
                }
            }
            // A pipe that nobody writes to would hold whoever opens it.
            let keys = part + "/keys"
            rename(keys, keys + "-away")
            mkfifo(keys, 0o600)
            chown(keys, uid, uid)
            let made = try await berth.run(["backup", folder + "/prepared"], seconds: 60)
            #expect(made.status == 1, "\(made)")
            unlink(keys)
            rename(keys + "-away", keys)
            #expect(try await berth.run(["backup", folder + "/prepared"]).status == 0)
        }
    }
}
