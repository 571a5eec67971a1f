import Foundation
import Glibc
import Logging
import MachineAPI
import NIOCore
import Testing

@testable import Orchestrator

/// Real packages of the real index, in real machines: needs the network and a program that runs one build job,
/// `BERTH_BUILD_MACHINE=PROGRAM` (called with the paths of a job and of its result, both JSON).
@Suite(.serialized, .enabled(if: ImagesProgramMachine.path != nil)) struct ImagesRealTests {
    @Test(.timeLimit(.minutes(10))) func realPackagesAreBuilt() async throws {
        let scratch = ImagesScratch()
        chmod(scratch.path, 0o711)
        let state = try scratch.directory("state")
        let store = try ImageStore(directory: state + "/images")
        let uploads = try Uploads(directory: state + "/uploads")
        let cache = ProcessInfo.processInfo.environment["BERTH_IMAGE_CACHE"] ?? scratch.path + "/cache"
        let factory = ImageFactory(
            settings: ImageSettings(state: state, cache: cache), store: store, uploads: uploads, machine: try #require(ImagesProgramMachine()),
            logger: Logger(label: "images"))
        func build(_ source: ImageSource) async throws -> ImageBuildEvent {
            let start = ContinuousClock.now
            let (outcome, steps) = try await ImagesFixture.drain(factory.build(source))
            print("image", source.pypi ?? source.upload ?? "", ContinuousClock.now - start, steps, outcome)
            return outcome
        }

        let time = try #require(await build(ImageSource(pypi: "mcp-server-time")).built)
        #expect(time.command.contains { $0.contains("from mcp_server_time import main") })
        #expect(time.packages.count > 10)
        #expect(try #require(await build(ImageSource(pypi: "mcp-server-time")).built) == time)
        let layers = try #require(await store.layers(of: time.image))
        for layer in layers.layers {
            let hex = String(layer.split(separator: "/").last ?? "")
            #expect(try LayerArchive.digest(of: layer).hex == hex)
        }
        // The image starts: the interpreter finds the package, and its standard library compiled.
        let machine = try #require(ImagesProgramMachine())
        let output = try scratch.directory("state/out")
        let run = try await machine.run(
            BuildJob(
                name: "start", layers: layers.layers,
                command: ["/usr/bin/python3", "-v", "-c", "import mcp_server_time, ssl; ssl.create_default_context()"],
                environment: time.environment, output: output, inputs: [], egress: []), line: { _ in })
        #expect(run.exitCode == 0, "\(run.log.suffix(600))")
        #expect(!run.log.contains("# code object from '/"))

        #expect(try await build(ImageSource(pypi: "mcp-server-git")).built != nil)
        let sqlite = try #require(
            await build(ImageSource(pypi: "mcp-server-sqlite", constraints: ["mcp<2"], arguments: ["--db-path", "/tmp/x.db"])).built)
        #expect(sqlite.packages.contains { $0.hasPrefix("mcp==1.") })
        #expect(sqlite.command.suffix(2) == ["--db-path", "/tmp/x.db"])
        // From source, for it has no wheel.
        #expect(try await build(ImageSource(pypi: "docopt==0.6.2", command: ["python3", "-m", "docopt"])).built != nil)

        for (spec, error) in [
            ("berth-no-such-package-xyz", "unknown_package"), ("mcp-server-time==1.2.99", "unknown_version"),
            ("mcp-server-time>=99999", "unknown_version"),
            ("numpy==2.5.0", "requires_python"), ("pycrypto", "build_failed"), ("typing-extensions", "no_console_script"),
        ] {
            let failure = try #require(await build(ImageSource(pypi: spec)).failure, "\(spec)")
            #expect(failure.error == error, "\(spec): \(failure)")
        }

        var tar = ImagesTar()
        tar.add("server.py", body: Array("import docopt\nprint(docopt.__version__)\n".utf8))
        tar.add("requirements.txt", body: Array("docopt==0.6.2\n".utf8))
        let archive = tar.finished
        let digest = try await uploads.receive(
            AsyncStream { continuation in
                continuation.yield(ByteBuffer(bytes: archive))
                continuation.finish()
            })
        let folder = try #require(await build(ImageSource(upload: digest, requirements: true)).built)
        let folderLayers = try #require(await store.layers(of: folder.image))
        let answer = try await machine.run(
            BuildJob(
                name: "folder", layers: folderLayers.layers, command: folder.command, environment: folder.environment, output: output, inputs: [],
                egress: []),
            line: { _ in })
        #expect(answer.log.contains("0.6.2"), "\(answer.log)")
        #expect(Files.names(store.directory + "/building").isEmpty)
    }
}

/// A build machine that is a program of the host.
struct ImagesProgramMachine: BuildMachine {
    static let path = ProcessInfo.processInfo.environment["BERTH_BUILD_MACHINE"]

    private struct Job: Encodable {
        struct Input: Encodable { var source, destination: String }
        var layers: [String]
        var command: [String]
        var environment: [String: String]
        var output: String
        var inputs: [Input]
        var egress: [String]
        var memoryBytes, pids: Int
    }

    private struct Result: Decodable {
        var exitCode: Int
        var log: String
        var outOfMemory, timedOut: Bool
    }

    private let program: String

    init?() {
        guard let path = Self.path else { return nil }
        program = path
    }

    func run(_ job: BuildJob, line: @escaping @Sendable (String) -> Void) async throws -> BuildJobResult {
        let scratch = ImagesScratch()
        let document = Job(
            layers: job.layers, command: job.command, environment: job.environment, output: job.output,
            inputs: job.inputs.map { .init(source: $0.source, destination: $0.destination) }, egress: job.egress, memoryBytes: job.memoryBytes,
            pids: job.pids)
        try Files.write(scratch.path + "/job", Array(try JSONEncoder().encode(document)))
        let ran = try await HostCommand.run(program, [scratch.path + "/job", scratch.path + "/result"], timeout: .seconds(job.timeoutSeconds))
        guard let bytes = Disk.read(scratch.path + "/result", limit: 1 << 20) else {
            throw ImageBuildFailure(error: "internal", message: "The build machine failed.", log: ran.text)
        }
        let result = try JSONDecoder().decode(Result.self, from: Data(bytes))
        for text in result.log.split(separator: "\n") { line(String(text)) }
        return BuildJobResult(exitCode: result.exitCode, log: result.log, outOfMemory: result.outOfMemory, timedOut: result.timedOut)
    }
}
