import Foundation
import TestSupport
import Testing

/// `--oci LAYOUT`: somebody else's image from this host's disk, in real machines.
@Suite(.enabled(if: Berth.isPossible, "machines need root"), .serialized)
struct LayoutConnectorTests {
    /// Folders of one test, beside the state.
    private struct Workshop {
        let folder: String

        init(_ berth: Berth) throws {
            folder = (berth.state as NSString).deletingLastPathComponent + "/images"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        }

        /// A layout by the name of `folder/NAME`.
        func layout(_ name: String, _ description: [String: Any]) async throws -> String {
            let text = String(decoding: try JSONSerialization.data(withJSONObject: description), as: UTF8.self)
            let made = try await Command.run(["/usr/bin/python3", Repository.fixture("layout.py"), "\(folder)/\(name)"], input: text, seconds: 300)
            guard made.status == 0 else { throw Trouble("layout.py: \(made.errors)") }
            return "\(folder)/\(name)"
        }

        /// The same with one image of these entries in one layer.
        func layout(_ name: String, entries: [[String: Any]], config: [String: Any] = [:], and more: [[[String: Any]]] = []) async throws -> String {
            try await layout(name, ["images": [["config": config, "layers": ([entries] + more).map { ["entries": $0] }]]])
        }
    }

    private func echo(_ berth: Berth, _ names: [String]) async throws {
        try await berth.json(["vmcp", "create", "all"] + names)
        let alice = try await berth.token(for: "alice", vmcp: "all")
        for name in names {
            let said = try await RawClient(url: alice.url, token: alice.token).call(
                names.count > 1 ? "\(name)__echo" : "echo", ["text": "hi \(name)"])
            #expect(said.text?.contains("hi \(name)") == true, "\(name): \(said.json) \(berth.log)")
        }
    }

    @Test func theAgentWorksInRootsOfEveryKind() async throws {
        try await Berth.run { berth in
            try await berth.up()
            let shop = try Workshop(berth)
            let program = try await CompiledFixture.make("tiny", in: shop.folder)

            // Nothing but a program, and what an image says of ports, users and labels changes nothing.
            let scratch = try await shop.layout(
                "scratch", entries: [["name": "tiny", "path": program]],
                config: [
                    "Entrypoint": ["/tiny"], "User": "0:0", "ExposedPorts": ["80/tcp": [:]], "Labels": ["io.berth.privileged": "true"],
                    "Volumes": ["/etc": [:]], "Env": ["HOME=/root", "A B=1", "GREETING=hello"], "WorkingDir": "/work/below",
                ])
            let first = try await berth.run(["connector", "add", "scratch", "--oci", scratch])
            #expect(first.status == 0 && first.output.contains("scratch ready: 2 tools"), "\(first.output) \(first.errors) \(berth.log)")

            // Layers that are packed otherwise, each for itself.
            let packed = try await shop.layout(
                "packed",
                [
                    "images": [
                        [
                            "config": ["Entrypoint": ["/tiny"]],
                            "layers": [
                                ["entries": [["name": "zeros", "size": 8 << 20]], "compression": "zstd"],
                                ["entries": [["name": "tiny", "path": program]], "compression": "zstd"],
                                ["entries": [["name": "x", "text": "y"]], "compression": "none"],
                            ],
                        ]
                    ]
                ])
            let fourth = try await berth.run(["connector", "add", "packed", "--oci", packed])
            #expect(fourth.status == 0 && fourth.output.contains("packed ready: 2 tools"), "\(fourth.output) \(fourth.errors) \(berth.log)")

            // A C library and nothing beside it.
            let glibc = try await CompiledFixture.make("tiny", [], in: shop.folder, as: "glibc")
            let libraries = "lib/x86_64-linux-gnu/libc.so.6"
            let bare = try await shop.layout(
                "distroless",
                entries: [
                    ["name": "app/server", "path": glibc], ["name": "lib64/ld-linux-x86-64.so.2", "path": "/lib64/ld-linux-x86-64.so.2"],
                    ["name": libraries, "path": "/" + libraries],
                ], config: ["Entrypoint": ["/app/server"]])
            let third = try await berth.run(["connector", "add", "distroless", "--oci", bare])
            #expect(third.status == 0 && third.output.contains("distroless ready: 2 tools"), "\(third.output) \(third.errors) \(berth.log)")

            // Another C library, many names of one file, links as in every distribution, and a script for its shell.
            let musl = shop.folder + "/musl"
            let built = try await Command.run(["/usr/bin/musl-gcc", "-D_GNU_SOURCE", "-o", musl, Repository.fixture("tiny.c")])
            #expect(built.status == 0, "\(built.errors)")
            let small = try await shop.layout(
                "small",
                entries: [
                    ["name": "bin", "type": "dir"], ["name": "bin/busybox", "path": "/bin/busybox", "mode": "4755"],
                    ["name": "bin/sh", "type": "same", "link": "bin/busybox"], ["name": "bin/cat", "type": "same", "link": "./bin/busybox"],
                    ["name": "usr/lib/libc.so", "path": "/usr/lib/x86_64-linux-musl/libc.so"], ["name": "lib", "type": "link", "link": "/usr/lib"],
                    ["name": "usr/lib/ld-musl-x86_64.so.1", "type": "link", "link": "libc.so"], ["name": "app/tiny", "path": musl],
                    ["name": "app/start", "text": "#!/bin/sh\nexec ./tiny \"$@\"\n"], ["name": "dev/null", "type": "device"],
                    ["name": "tmp", "type": "link", "link": "/var/tmp"],
                    ["name": "etc/resolv.conf", "text": "nameserver 192.0.2.1\n"],
                ], config: ["Entrypoint": ["./start"], "WorkingDir": "/app", "Cmd": ["8000"]],
                and: [[["name": "lib/below", "text": "through a link of a lower layer"]]])
            // Given arguments take the place of the image's own: without any it speaks on standard input.
            let second = try await berth.run(["connector", "add", "small", "--oci", small, "--", "/app/start"])
            #expect(second.status == 0 && second.output.contains("small ready: 2 tools"), "\(second.output) \(second.errors) \(berth.log)")
            #expect(second.output.contains("Left out 1 devices and pipes"))
            let shown = try await berth.json(["connector", "show", "small"])
            // Each name of the one file costs nothing.
            let busybox = try #require(try FileManager.default.attributesOfItem(atPath: "/bin/busybox")[.size] as? Int)
            #expect(try #require(shown["image_bytes"] as? Int) < 2 * busybox + 2_000_000)
            let web = try await berth.run(["connector", "add", "web", "--oci", small, "--http", "8000"])
            #expect(web.status == 0 && web.output.contains("web ready: 2 tools"), "its own arguments: \(web.output) \(web.errors) \(berth.log)")
            let moved = try await berth.run(["connector", "update", "web", "--http", "8100", "--arg", "8100"])
            #expect(
                moved.status == 0 && moved.output.contains("web ready") && !moved.output.contains("npacking"),
                "no build: \(moved.output) \(moved.errors)")

            try await echo(berth, ["scratch", "distroless", "small", "web", "packed"])
        }
    }

    /// A distribution's root as its tools make it: owners, devices, setuid bits, links to everywhere, 6,000 files.
    @Test func aDistributionsRootIsHosted() async throws {
        try await Berth.run { berth in
            try await berth.up()
            let shop = try Workshop(berth)
            let root = shop.folder + "/root"
            let made = try await Command.run(
                [
                    "/usr/bin/mmdebstrap", "--quiet", "--variant=extract", "--include=python3-minimal,libpython3-stdlib,mount,libc-bin", "bookworm",
                    root,
                ], seconds: 300)
            #expect(made.status == 0, "\(made.errors)")
            try FileManager.default.createDirectory(atPath: root + "/srv", withIntermediateDirectories: true)
            try FileManager.default.copyItem(atPath: Repository.fixture("fixture.py"), toPath: root + "/srv/server.py")
            let layout = try await shop.layout(
                "debian",
                [
                    "nested": true,
                    "images": [["config": ["Cmd": ["python3.11", "server.py"], "WorkingDir": "/srv"], "layers": [["folder": root]]]],
                ])
            let archive = shop.folder + "/debian.tar"
            let packed = try await Command.run(["/usr/bin/tar", "-C", layout, "-cf", archive, "."])
            #expect(packed.status == 0)
            let added = try await berth.run(["connector", "add", "debian", "--oci", archive], seconds: 300)
            #expect(added.status == 0 && added.output.contains("debian ready"), "\(added.output) \(added.errors) \(berth.log)")
            try await echo(berth, ["debian"])
            // Nothing is setuid, and nothing is anybody's but root's.
            let layers = try FileManager.default.contentsOfDirectory(atPath: berth.state + "/orchestrator/images/layers")
            #expect(layers.count >= 2)
            let odd = try await Command.run([
                "/usr/bin/find", berth.state + "/orchestrator/images/layers", "-perm", "/7000", "-o", "!", "-user", "root", "-o", "-type", "c",
            ])
            #expect(odd.output.isEmpty, "\(odd.output.prefix(500))")
        }
    }

    @Test func layersHideAndReplaceWhatIsBelow() async throws {
        try await Berth.run { berth in
            try await berth.up()
            let shop = try Workshop(berth)
            let program = try await CompiledFixture.make("tiny", in: shop.folder)
            let layout = try await shop.layout(
                "layers",
                entries: [
                    ["name": "tiny", "path": program], ["name": "gone", "text": "x"], ["name": "folder/old", "text": "x"],
                    ["name": "folder/deep/old", "text": "x"], ["name": "other/old", "text": "x"], ["name": "file", "text": "a file"],
                    ["name": "link", "type": "link", "link": "/folder"],
                ],
                and: [
                    [
                        ["name": "folder/new", "text": "x"], ["name": "folder/.wh..wh..opq", "text": ""], ["name": "folder/deep/new", "text": "x"],
                        ["name": ".wh.gone", "text": ""], ["name": "other/.wh.old", "text": ""], ["name": "other/.wh.none", "text": ""],
                        ["name": "file/inside", "text": "the file became a directory"], ["name": "link", "type": "dir"],
                        ["name": ".wh..wh.plnk", "text": "of another tool"],
                    ]
                ])
            let added = try await berth.run(["connector", "add", "layers", "--oci", layout, "--", "/tiny"])
            #expect(added.status == 0, "\(added.output) \(added.errors) \(berth.log)")
            let layers = berth.state + "/orchestrator/images/layers"
            let mine = try #require(
                try FileManager.default.contentsOfDirectory(atPath: layers).first { FileManager.default.fileExists(atPath: "\(layers)/\($0)/tiny") })
            let found = Set(FileManager.default.enumerator(atPath: "\(layers)/\(mine)")?.allObjects as? [String] ?? [])
            #expect(found == ["tiny", "folder", "folder/new", "folder/deep", "folder/deep/new", "other", "file", "file/inside", "link"])
        }
    }

    @Test func whatIsNoGoodImageIsRefused() async throws {
        try await Berth.run { berth in
            try await berth.up(["--image-limit", "64"])
            let shop = try Workshop(berth)
            let tiny = try await CompiledFixture.make("tiny", in: shop.folder)
            let program: [String: Any] = ["name": "tiny", "path": tiny]
            let secret = shop.folder + "/secret"
            try "the host's own".write(toFile: secret, atomically: true, encoding: .utf8)
            var rows: [BadInput] = []
            func refuse(_ name: String, _ says: String, _ layout: String, _ more: String...) {
                rows.append(BadInput(["connector", "add", "x", "--oci", layout] + more + ["--", "/tiny"], says: "failed: " + says))
            }
            let hostile: [(String, [[String: Any]], String)] = [
                ("up", [["name": "../../../../etc/berth-evil", "text": "x"]], "leads out of the image"),
                ("inner-up", [["name": "a/../../b", "text": "x"]], "leads out of the image"),
                ("absolute", [["name": "/etc/berth-evil", "text": "x"]], "is an absolute path"),
                ("hard-link-up", [["name": "x", "type": "same", "link": "../../../../../\(secret)"]], "leads out of the image"),
                ("hard-link-absolute", [["name": "x", "type": "same", "link": secret]], "is an absolute path"),
                (
                    "hard-link-through", [["name": "l", "type": "link", "link": shop.folder], ["name": "x", "type": "same", "link": "l/secret"]],
                    "is a link to a file that is not in the image"
                ),
                (
                    "circle",
                    [["name": "a", "type": "link", "link": "b"], ["name": "b", "type": "link", "link": "a"], ["name": "a/x", "text": "x"]],
                    "leads over too many links"
                ),
                ("deep", [["name": String(repeating: "d/", count: 80) + "x", "text": "x"]], "lies too deep or is too long"),
                (
                    "not-utf8", [["name": "x\u{1}y/.", "type": "dir"], ["name": "a", "text": "1"], ["name": "a/b", "text": "1"]],
                    "is a directory and something else"
                ),
            ]
            for (name, entries, says) in hostile {
                let layout = try await shop.layout(name, entries: entries + [program])
                let result = try await berth.run(["connector", "add", "x", "--oci", layout, "--json", "--", "/tiny"])
                #expect(result.status == 1 && result.lastJSON?["error"] as? String == "unsafe_content", "\(name): \(result.output) \(result.errors)")
                #expect((result.lastJSON?["message"] as? String)?.contains(says) == true, "\(name): \(result.output)")
            }
            #expect(!FileManager.default.fileExists(atPath: "/etc/berth-evil"))

            // A bomb: 1 GiB of nothing in a megabyte; many of it; and a layer that says less than it unpacks to.
            refuse(
                "bomb", "bomb is larger than 64 MiB unpacked *",
                try await shop.layout("bomb", entries: [program, ["name": "zeros", "size": 1 << 30]]))
            refuse(
                "many", "many is larger than 64 MiB unpacked *",
                try await shop.layout("many", entries: [program] + (0..<20).map { ["name": "z\($0)", "size": 8 << 20] }))
            refuse(
                "same", "same is larger than 64 MiB unpacked *",
                try await shop.layout(
                    "same", entries: [program, ["name": "z", "size": 8 << 20]], and: (0..<60).map { _ in [["name": "z", "size": 8 << 20]] }))
            func broken(_ name: String, _ description: [String: Any] = [:]) async throws -> String {
                try await shop.layout(
                    "broken-" + name, ["break": name, "images": [["layers": [["entries": [program]]]]]].merging(description) { _, own in own })
            }
            refuse("digest", "broken-digest cannot be used: the blob *", try await broken("digest"))
            refuse("size", "broken-size cannot be used: the blob *", try await broken("size"))
            refuse("missing", "broken-missing cannot be used: the blob *", try await broken("missing"))
            refuse("sha512", "broken-sha512 cannot be used: the digest sha512:*", try await broken("sha512"))
            refuse(
                "diff_id", "broken-diff_id cannot be used: a layer unpacks to something else than its configuration says *",
                try await broken("diff_id"))
            refuse(
                "trailing", "broken-trailing cannot be used: a layer is no whole archive*",
                try await broken("trailing", ["images": [["layers": [["entries": [program], "trailing": "1f8b0800"]]]]]))
            refuse(
                "zstd-trailing", "broken-zstd-trailing cannot be used: a layer is no whole archive: it is no zstd stream *",
                try await broken("zstd-trailing", ["images": [["layers": [["entries": [program], "compression": "zstd", "trailing": "00112233"]]]]]))
            refuse(
                "zstd", "broken-zstd cannot be used: a layer is no whole archive: it is no zstd stream *",
                try await broken(
                    "zstd", ["images": [["layers": [["entries": [program], "media_type": "application/vnd.oci.image.layer.v1.tar+zstd"]]]]]))
            refuse(
                "elsewhere", "broken-elsewhere is for linux/arm64, and this host is linux/amd64 *",
                try await broken("elsewhere", ["images": [["architecture": "arm64", "layers": [["entries": [program]]]]]]))
            let two = try await shop.layout(
                "two", ["images": ["one", "other"].map { ["tag": $0, "layers": [["entries": [program, ["name": $0, "text": "x"]]]]] }])
            refuse("two", "two holds several images: one, other — Name one: --oci LAYOUT:NAME.", two)
            refuse("no-tag", "two:none cannot be used: it has no image none — It has one, other.", two + ":none")
            // `--` of each row names /tiny, which this one has not.
            refuse("program", "empty holds no program /tiny *", try await shop.layout("empty", entries: [["name": "x", "text": "x"]]))
            try await berth.refuses(rows)
            try await berth.refuses([
                BadInput(
                    "connector", "add", "x", "--oci", two + ":one",
                    says: "failed: two:one names no command to start — Give it after --: -- /path/of/server."),
                BadInput(
                    "connector", "add", "x", "--oci", shop.folder, "--", "/tiny", code: 64,
                    says: "--oci \(shop.folder) is no OCI image layout: it has no index.json — skopeo copy … oci:DIR makes one"),
            ])
            let large = try await berth.run(["connector", "add", "x", "--oci", shop.folder + "/bomb", "--json", "--", "/tiny"])
            #expect(large.lastJSON?["reason"] as? String == "image_too_large", "\(large.output)")
            let one = try await berth.run(["connector", "add", "one", "--oci", two + ":one", "--", "/tiny"])
            #expect(one.status == 0 && one.output.contains("one ready: 2 tools"), "\(one.output) \(one.errors)")
        }
    }
}
