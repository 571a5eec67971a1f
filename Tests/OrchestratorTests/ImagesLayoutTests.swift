import Foundation
import Glibc
import MachineAPI
import TestSupport
import Testing

@testable import Orchestrator

/// What the host itself reads of somebody else's image.
@Suite struct ImagesLayoutTests {
    private func layout(_ scratch: ImagesScratch, _ description: String) async throws -> OCILayout {
        let made = try await Command.run(["/usr/bin/python3", Repository.fixture("layout.py"), scratch.path + "/layout"], input: description)
        #expect(made.status == 0, "\(made.errors)")
        return OCILayout(scratch.path + "/layout", name: "it")
    }

    private let one =
        #"{"images":[{"config":{"Entrypoint":["/x"]},"layers":[{"entries":[{"name":"x","text":"y"}]},{"entries":[],"compression":"none"}]}]}"#

    @Test func anImageIsReadDownToItsLayers() async throws {
        let scratch = ImagesScratch()
        let image = try await layout(scratch, one).image(tag: nil, limit: 1 << 20)
        #expect(image.layers.map(\.compression) == [.gzip, .none] && image.config.entrypoint == ["/x"])
        for layer in image.layers { #expect(try FileDigest.hex(scratch.path + "/layout/blobs/sha256/" + layer.blob) == layer.blob) }
        let failure = #expect(throws: ImageBuildFailure.self) { _ = try OCILayout(scratch.path + "/layout", name: "it").image(tag: nil, limit: 100) }
        #expect(failure?.error == "image_too_large", "the layers alone are more than that")
    }

    @Test func theHostsPlatformIsChosen() async throws {
        let layers = #""layers":[{"entries":[{"name":"x","text":"%"}]}]"#
        func image(_ platform: String, _ text: String, _ architecture: String = "amd64") -> String {
            #"{"platform":{"os":"linux","architecture":"\#(platform)"},"architecture":"\#(architecture)",\#(layers.replacingOccurrences(of: "%", with: text))}"#
        }
        let both = #"{"nested":true,"images":[\#(image("arm64", "a", "arm64")),\#(image("amd64", "b"))]}"#
        let scratch = ImagesScratch()
        #expect(try await layout(scratch, both).image(tag: nil, limit: 1 << 20).layers.count == 1)
        let other = ImagesScratch()
        let only = try await layout(other, #"{"images":[\#(image("arm64", "a", "arm64")),\#(image("s390x", "c", "s390x"))]}"#)
        let failure = #expect(throws: ImageBuildFailure.self) { _ = try only.image(tag: nil, limit: 1 << 20) }
        #expect(failure?.error == "exec_format" && failure?.message == "it is for linux/arm64, linux/s390x, and this host is linux/amd64.")
        // An index that says otherwise than the image.
        let lying = ImagesScratch()
        let false_ = try await layout(lying, #"{"images":[\#(image("amd64", "a", "arm64"))]}"#)
        #expect(#expect(throws: ImageBuildFailure.self) { _ = try false_.image(tag: nil, limit: 1 << 20) }?.error == "exec_format")
    }

    /// An index that is named a thousand times is read once; those that are too many are refused before they are read.
    @Test func noIndexIsReadTwice() async throws {
        let scratch = ImagesScratch()
        let home = scratch.path + "/layout"
        let found = try await layout(scratch, one)
        let index = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: home + "/index.json"))) as? [String: Any])
        let images = try #require(index["manifests"] as? [[String: Any]])
        func blob(_ value: [String: Any]) throws -> [String: Any] {
            let bytes = [UInt8](try JSONSerialization.data(withJSONObject: value, options: .sortedKeys))
            let path = home + "/blobs/sha256/new"
            try Files.write(path, bytes)
            let hex = try FileDigest.hex(path)
            rename(path, home + "/blobs/sha256/" + hex)
            return ["mediaType": "application/vnd.oci.image.index.v1+json", "digest": "sha256:" + hex, "size": bytes.count]
        }
        func write(_ manifests: [[String: Any]]) throws {
            try Files.write(home + "/index.json", [UInt8](try JSONSerialization.data(withJSONObject: ["schemaVersion": 2, "manifests": manifests])))
        }
        // Padded to the bound: read each time it would be gigabytes.
        let inner = try blob(["manifests": images, "annotations": ["x": String(repeating: "x", count: 4_000_000)]])
        try write(Array(repeating: inner, count: 900))
        #expect(try found.image(tag: nil, limit: 1 << 20).layers.count == 2)
        try write([try blob(["manifests": Array(repeating: inner, count: 999)]), inner])
        #expect(#expect(throws: ImageBuildFailure.self) { _ = try found.image(tag: nil, limit: 1 << 20) }?.message.contains("more than 1000") == true)
        try write(try (0..<40).map { try blob(["manifests": [], "annotations": ["number": "\($0)"]]) } + images)
        #expect(#expect(throws: ImageBuildFailure.self) { _ = try found.image(tag: nil, limit: 1 << 20) }?.message.contains("more than 32 indices") == true)
    }

    /// A registry's image of which one was fetched, of two for this platform.
    @Test func theOneThatWasFetchedIsTaken() async throws {
        let scratch = ImagesScratch()
        let layers = #""layers":[{"entries":[{"name":"x","text":"%"}]}]"#
        let images = ["a", "b"].map {
            #"{"platform":{"os":"linux","architecture":"amd64"},"architecture":"amd64",\#(layers.replacingOccurrences(of: "%", with: $0))}"#
        }
        let both = try await layout(scratch, #"{"nested":true,"images":[\#(images.joined(separator: ","))]}"#)
        #expect(#expect(throws: ImageBuildFailure.self) { _ = try both.image(tag: nil, limit: 1 << 20) }?.error == "ambiguous_image")
        let alone = ImagesScratch()
        let first = try await layout(alone, #"{"images":[\#(images[0])]}"#)
        #expect(try both.image(tag: nil, limit: 1 << 20, isFetched: true).layers == first.image(tag: nil, limit: 1 << 20).layers)
    }

    @Test(arguments: ["no-marker", "marker-link", "index", "index-huge", "blob-link", "many-layers", "config-huge", "empty"])
    func whatIsNoLayoutIsRefused(_ what: String) async throws {
        let scratch = ImagesScratch()
        let many = (0..<129).map { _ in #"{"entries":[]}"# }.joined(separator: ",")
        let description =
            what == "many-layers" ? #"{"images":[{"layers":[\#(many)]}]}"# : what == "empty" ? #"{"images":[{"layers":[{"entries":[]}]}]}"# : one
        let found = try await layout(scratch, description)
        let home = scratch.path + "/layout"
        switch what {
        case "no-marker": unlink(home + "/oci-layout")
        case "marker-link":
            rename(home + "/oci-layout", home + "/elsewhere")
            symlink("elsewhere", home + "/oci-layout")
        case "index": try Files.write(home + "/index.json", Array(#"{"manifests":[{"mediaType":1}]}"#.utf8))
        case "index-huge": try Files.write(home + "/index.json", [UInt8](repeating: 32, count: 5 << 20))
        case "blob-link":
            for name in Files.names(home + "/blobs/sha256") {
                rename("\(home)/blobs/sha256/\(name)", "\(home)/\(name)")
                symlink("../../\(name)", "\(home)/blobs/sha256/\(name)")
            }
        case "config-huge":
            let index = try #require(Files.read(home + "/index.json"))
            let changed = index.replacingOccurrences(of: #""size": "#, with: #""size": 99999"#)
            try Files.write(home + "/index.json", Array(changed.utf8))
        case "empty": try Files.write(home + "/index.json", Array("{}".utf8))
        default: break
        }
        let failure = #expect(throws: ImageBuildFailure.self) { _ = try found.image(tag: nil, limit: 1 << 20) }
        #expect(failure?.error == "bad_image", "\(String(describing: failure))")
    }

    @Test func itsConfigurationIsData() throws {
        let text = #"""
            {"architecture":"amd64","os":"linux","rootfs":{"diff_ids":[]},"config":{"User":"0","WorkingDir":"/a/./b//c","Volumes":{"/etc":{}},
            "ExposedPorts":{"80/tcp":{}},"Labels":{"x":"y"},"Env":["PATH=/x","HOME=/root","TMPDIR=/","1X=2","A-B=3","NOVALUE","EMPTY=","T=a=b","Z=\u0000"]}}
            """#
        let config = try #require(CanonicalJSON.decode(ForeignConfig.self, Array(text.utf8)))
        #expect(config.environment == ["PATH": "/x", "EMPTY": "", "T": "a=b"])
        #expect(config.directory == "/a/b/c")
        func directory(_ text: String) throws -> String {
            try #require(CanonicalJSON.decode(ForeignConfig.self, Array(#"{"architecture":"a","os":"b","config":{"WorkingDir":"\#(text)"}}"#.utf8)))
                .directory
        }
        #expect(try directory("") == "/" && directory("relative") == "/relative" && directory("/a/../../b") == "/")
        let many = (0..<1_000).map { "\"A\($0)=\(String(repeating: "x", count: 300))\"" }.joined(separator: ",")
        let large = try #require(CanonicalJSON.decode(ForeignConfig.self, Array(#"{"architecture":"a","os":"b","config":{"Env":[\#(many)]}}"#.utf8)))
        #expect(large.environment.count <= 129)
    }

    @Test func theStartIsTheImagesOrTheOperators() throws {
        let scratch = ImagesScratch()
        let root = try scratch.directory("root")
        for name in ["bin/run", "app/start", "usr/local/bin/tool"] { try scratch.file("root/" + name, "#!/bin/run\n", mode: 0o755) }
        try scratch.file("root/bin/plain", "x", mode: 0o644)
        func start(_ process: String, _ given: [String]? = nil, _ arguments: [String] = []) throws -> [String] {
            let config = try #require(
                CanonicalJSON.decode(ForeignConfig.self, Array(#"{"architecture":"a","os":"b","config":{\#(process)}}"#.utf8)))
            return try ForeignStart(root: RootTree(root), config: config, name: "it").resolve(given, arguments: arguments).command
        }
        let whole = #""Entrypoint":["tool"],"Cmd":["serve","--port"],"Env":["PATH=/usr/local/bin:/bin"],"WorkingDir":"/app""#
        #expect(try start(whole) == ["/usr/local/bin/tool", "serve", "--port"])
        #expect(try start(whole, nil, ["stdio"]) == ["/usr/local/bin/tool", "stdio"])
        #expect(try start(whole, ["./start", "a"], ["b"]) == ["/app/start", "a", "b"])
        #expect(try start(#""Cmd":["run","x"]"#, nil, ["y"]) == ["/bin/run", "x", "y"])
        for (process, given, error) in [
            ("", nil, "no_command"), (whole, ["plain"], "no_program"), (whole, ["none"], "no_program"),
            (whole, ["../../../../bin/true"], "no_program"),
            (#""Entrypoint":["/none"]"#, nil, "no_program"), (#""Entrypoint":[""]"#, nil, "no_program"),
            (#""Entrypoint":["a\u0000"]"#, nil, "bad_image"),
        ] as [(String, [String]?, String)] {
            let failure = #expect(throws: ImageBuildFailure.self) { _ = try start(process, given) }
            #expect(failure?.error == error, "\(process) \(String(describing: given))")
        }
    }

    @Test func anUpdateOfArgumentsNeedsNoBuild() {
        let defaults = BuiltImage.Defaults(command: ["/x"], arguments: ["a"])
        #expect(defaults.start([]) == ["/x", "a"] && defaults.start(["b"]) == ["/x", "b"])
    }
}
