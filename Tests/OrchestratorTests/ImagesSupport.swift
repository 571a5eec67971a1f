import Foundation
import Glibc
import Logging
import MachineAPI
import NIOCore
import Synchronization
import Testing

@testable import Orchestrator

/// A directory of one test, removed with it.
final class ImagesScratch: Sendable {
    let path: String

    init() {
        path = "/tmp/berth-images-\(Identifier.random())"
        mkdir(path, 0o700)
    }

    deinit { try? Files.removeTree(path) }

    /// Makes a directory below it.
    func directory(_ name: String) throws -> String {
        try Files.makeDirectories(path + "/" + name, mode: 0o700)
        return path + "/" + name
    }

    /// Writes a file below it, and its directories.
    @discardableResult
    func file(_ name: String, _ text: String = "", mode: mode_t = 0o644) throws -> String {
        let file = path + "/" + name
        try Files.makeDirectories(Disk.parent(file), mode: 0o755)
        try Files.write(file, Array(text.utf8))
        chmod(file, mode)
        return file
    }
}

/// A build machine that is a function.
final class ImagesMachine: BuildMachine {
    private let body: @Sendable (BuildJob) async throws -> BuildJobResult
    private let seen = Mutex<[BuildJob]>([])

    /// What finds out about releases; nil: an old one of everything that is asked for.
    private let look: (@Sendable (BuildJob) throws -> BuildJobResult)?
    private let looked = Mutex<[BuildJob]>([])

    /// Without those that only look.
    var jobs: [BuildJob] { seen.withLock { $0 } }
    /// Those.
    var looks: [BuildJob] { looked.withLock { $0 } }

    init(
        look: (@Sendable (BuildJob) throws -> BuildJobResult)? = nil, _ body: @escaping @Sendable (BuildJob) async throws -> BuildJobResult
    ) {
        self.look = look
        self.body = body
    }

    func run(_ job: BuildJob, line: @escaping @Sendable (String) -> Void) async throws -> BuildJobResult {
        if ["resolve", "lock"].contains(job.name) {
            looked.withLock { $0.append(job) }
            return try look?(job) ?? Self.found(job)
        }
        seen.withLock { $0.append(job) }
        return try await body(job)
    }

    /// Leaves behind what a look at an index does: a lock, and what is told of the release.
    static func found(
        _ job: BuildJob, version: String = "1.0", uploaded: Int? = 1_500_000_000, lock: String? = nil, more: [String: Any] = [:]
    ) throws -> BuildJobResult {
        let asked = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: job.inputs[0].source + "/releases.json")))
        let names = (asked as? [[String: Any]] ?? []).compactMap { $0["name"] as? String }
        let releases = names.map { name in
            var release: [String: Any] = ["name": name, "version": version]
            release["uploaded"] = uploaded
            return release.merging(more) { $1 }
        }
        try JSONSerialization.data(withJSONObject: ["releases": releases]).write(to: URL(fileURLWithPath: job.output + "/releases.json"))
        let isNode = job.name == "lock"
        let own =
            isNode
            ? #"{"lockfileVersion":3,"packages":{\#(names.map { #""node_modules/\#($0)":{"version":"\#(version)","resolved":"https://registry.example/d.tgz","integrity":"sha512-x"}"# }.joined(separator: ","))}}"#
            : names.map { "\($0)==\(version) \\\n    --hash=sha256:00\n" }.joined()
        let text = lock ?? own
        if !text.isEmpty { try Files.write(job.output + (isNode ? "/package-lock.json" : "/requirements.lock"), Array(text.utf8)) }
        return BuildJobResult(exitCode: 0, log: "")
    }

    /// Leaves behind what an installation of one package does.
    static func installed(_ job: BuildJob, package: String = "demo", script: String = "demo = demo.cli:main") throws -> BuildJobResult {
        let home = job.output + "/tree/opt/mcp"
        try Files.makeDirectories(home + "/\(package)-1.0.dist-info", mode: 0o700)
        try Files.makeDirectories(home + "/\(package)", mode: 0o700)
        try Files.write(home + "/\(package)/__init__.py", Array("x = 1\n".utf8))
        try Files.write(home + "/\(package)-1.0.dist-info/entry_points.txt", Array("[console_scripts]\n\(script)\n".utf8))
        try Files.write(home + "/\(package)-1.0.dist-info/RECORD", Array("\(package)/__init__.py,,\n".utf8))
        try Files.write(job.output + "/" + Lockfile.name, Array("\(package)==1.0 \\\n    --hash=sha256:00\n".utf8))
        try Files.write(home + "/.lock", [])
        return BuildJobResult(exitCode: 0, log: "")
    }
}

/// Parts of a few files instead of a distribution.
final class ImagesParts: BaseParts {
    private let count = Mutex(0)
    let key: String

    var made: Int { count.withLock { $0 } }

    init(key: String = String(repeating: "a", count: 64)) { self.key = key }

    func baseKey() async throws -> String { key }
    func builderKey() throws -> String { String(repeating: "b", count: 64) }
    func nodeKey(registry: String?) throws -> String { String(repeating: "d", count: 64) }

    func makeNode(
        _ tree: String, _ scratch: String, _ base: String, _ step: @escaping @Sendable (String) -> Void
    ) async throws -> [String: String] {
        count.withLock { $0 += 1 }
        try Files.makeDirectories(tree + "/opt/node/bin", mode: 0o755)
        try Files.write(tree + "/opt/node/bin/node", Array("node".utf8))
        return ["registry": "https://registry.example"]
    }

    func makeBase(_ tree: String, _ scratch: String, _ step: @escaping @Sendable (String) -> Void) async throws -> [String: String] {
        count.withLock { $0 += 1 }
        step("Making the base system")
        try Files.makeDirectories(tree + "/usr/bin", mode: 0o755)
        try Files.write(tree + "/usr/bin/python3.11", Array("not really".utf8))
        chmod(tree + "/usr/bin/python3.11", 0o755)
        symlink("python3.11", tree + "/usr/bin/python3")
        return ["python": "3.11"]
    }

    func makeBuilder(
        _ tree: String, _ scratch: String, _ base: String, _ step: @escaping @Sendable (String) -> Void
    ) async throws -> [String: String] {
        count.withLock { $0 += 1 }
        try Files.makeDirectories(tree + "/opt/berth-build", mode: 0o755)
        try Files.write(tree + "/opt/berth-build/uv", Array("uv".utf8))
        return [:]
    }
}

/// A state directory with a factory in it.
struct ImagesFixture {
    let scratch: ImagesScratch
    let store: ImageStore
    let uploads: Uploads
    let parts: ImagesParts
    let factory: ImageFactory

    init(scratch: ImagesScratch = ImagesScratch(), state: String = "state", parts: ImagesParts = ImagesParts(), machine: any BuildMachine) throws {
        self.scratch = scratch
        self.parts = parts
        let state = try scratch.directory(state)
        store = try ImageStore(directory: state + "/images")
        uploads = try Uploads(directory: state + "/uploads")
        factory = ImageFactory(
            settings: ImageSettings(state: state, cache: scratch.path + "/cache"), store: store, uploads: uploads, machine: machine,
            logger: Logger(label: "images"), parts: parts)
    }

    /// Runs a build to its end.
    func build(_ source: ImageSource) async throws -> (outcome: ImageBuildEvent, steps: [String]) {
        try await ImagesFixture.drain(factory.build(source))
    }

    static func drain(_ stream: AsyncThrowingStream<ImageBuildEvent, any Error>) async throws -> (outcome: ImageBuildEvent, steps: [String]) {
        var steps: [String] = []
        var outcome: ImageBuildEvent?
        for try await event in stream {
            switch event {
            case .step(let text): steps.append(text)
            case .release: break
            case .done, .failed:
                #expect(outcome == nil)
                outcome = event
            }
        }
        return (try #require(outcome), steps)
    }

    /// What lies half-made in the store.
    var leftovers: [String] { Files.names(store.directory + "/building") }
}

extension ImageBuildEvent {
    var built: BuiltImage? { if case .done(let image) = self { image } else { nil } }
    var failure: ImageBuildFailure? { if case .failed(let failure) = self { failure } else { nil } }
}

/// Runs a program of this host.
@discardableResult
func imagesRun(_ arguments: [String], in directory: String? = nil) async throws -> HostCommandResult {
    try await HostCommand.run("/usr/bin/env", arguments, directory: directory, timeout: .seconds(60), outputLimit: 1 << 20)
}

/// A tar archive, block by block.
struct ImagesTar {
    var bytes: [UInt8] = []

    mutating func add(_ name: String, type: Character = "0", link: String = "", mode: Int = 0o644, size: Int? = nil, body: [UInt8] = []) {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, _ offset: Int) { for (index, byte) in text.utf8.enumerated() { block[offset + index] = byte } }
        func octal(_ value: Int, _ digits: Int) -> String {
            let text = String(value, radix: 8)
            return String(repeating: "0", count: digits - text.count) + text
        }
        put(name, 0)
        put(octal(mode, 7), 100)
        put(octal(size ?? body.count, 11), 124)
        put("        ", 148)
        block[156] = type.asciiValue ?? 0
        put(link, 157)
        put("ustar\u{0}00", 257)
        put(octal(block.reduce(0) { $0 + Int($1) }, 6) + "\u{0} ", 148)
        bytes += block + body + [UInt8](repeating: 0, count: (512 - body.count % 512) % 512)
    }

    var finished: [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }
}
