import Door
import Foundation
import Glibc
import Logging
import NIOPosix
import Sealing
import Wire

/// Boots a machine with an OCI runtime and has its agent answer at its door: everything that a connector's machine needs of one. That a
/// program is there, or answers `--version`, proves nothing.
public enum RuntimeTrial {
    /// How far a runtime came.
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    private static let org = "berth"

    /// - Parameters:
    ///   - agentPath: the static `berth-agent`, which is all that the machine holds.
    ///   - state: `<state>/orchestrator`, where a runtime that works is noted; nil for nowhere.
    /// - Returns: how long the boot took, in milliseconds.
    /// - Throws: ``Failure``, or why the trial could not begin.
    public static func run(runtime: String, agentPath: String, state: String?) async throws -> Int {
        guard runtime.hasPrefix("/") else { throw Failure(description: "\(runtime) is no absolute path") }
        guard TriedRuntimes.mark(runtime) != nil else {
            throw Failure(description: "\(runtime) is no program that root alone can change")
        }
        let directory = "/run/berth-trial-\(getpid())-" + String(UInt32.random(in: 0 ... .max), radix: 36)
        try Files.makeDirectories(directory, mode: 0o711)
        defer { try? Files.removeTree(directory) }
        let layer = directory + "/layer"
        try Files.makeDirectories(layer + "/opt/berth", mode: 0o755)
        try FileManager.default.copyItem(atPath: agentPath, toPath: layer + "/opt/berth/berth-agent")
        chmod(layer + "/opt/berth/berth-agent", 0o755)
        try Files.makeDirectories(directory + "/run", mode: 0o711)
        let configuration = OCIConfiguration(
            stateDirectory: directory + "/state", runDirectory: directory + "/run", cgroupPrefix: "/" + (directory as NSString).lastPathComponent,
            doorGroup: 0, runtimePath: runtime, ownMountNamespace: true)
        let oci = try OCIRuntime(configuration: configuration, logger: Logger(label: "trial") { _ in SwiftLogNoOpLogHandler() })
        defer { oci.shutdown() }
        let begin = ContinuousClock.now
        try await boot(oci, layer, directory)
        if let state { try TriedRuntimes(directory: state).add(runtime) }
        return Int(begin.duration(to: .now) / .milliseconds(1))
    }

    private static func boot(_ oci: OCIRuntime, _ layer: String, _ directory: String) async throws {
        let (machine, boot) = (MachineID.random(), ULID().description)
        let keys = try DoorKeys(root: try AppRoot(secret: Secret(try randomBytes(32))), machine: machine, boot: boot)
        let document = BootDocument(org: org, app: "trial", keys: keys, machine: machine, boot: boot, command: ["/none"])
        let spec = MachineSpec(
            machine: machine, boot: boot, slot: Int.random(in: 60_000..<64_000), layers: [layer], arguments: MachineHost.agent,
            doorPath: directory + "/door", bootDocument: try document.encode())
        let result: Result<Void, any Error>
        do {
            _ = try await oci.create(spec)
            try await oci.start(machine, boot: boot)
            try await answer(oci, spec, keys)
            try await look(oci, spec)
            result = .success(())
        } catch {
            result = .failure(error)
        }
        // Removal is a part of what is tried.
        try await oci.remove(machine, boot: boot)
        try result.get()
    }

    /// What the agent's health does not tell: its children are other users, and each needs a folder in `/tmp`.
    private static func look(_ oci: OCIRuntime, _ spec: MachineSpec) async throws {
        guard let pid = await oci.firstProcess(BootName(machine: spec.machine, boot: spec.boot)),
            let tmp = Files.status("/proc/\(pid)/root/tmp"), tmp.st_mode & 0o7777 == 0o1777
        else { throw Failure(description: "the machine's /tmp cannot be written by its servers") }
    }

    private static func answer(_ oci: OCIRuntime, _ spec: MachineSpec, _ keys: DoorKeys) async throws {
        let http = HTTPClient(eventLoopGroup: MultiThreadedEventLoopGroup.singleton)
        let probe = DoorProbe(http: http)
        let end = ContinuousClock.now + .seconds(30)
        var last = "nobody answered"
        while ContinuousClock.now < end {
            switch await probe.ask("unix:\(spec.doorPath ?? "")", keys: keys, org: org, isDeep: false) {
            case .yes: return await http.shutdown()
            case .no(let why), .silence(let why): last = why
            }
            guard await oci.firstProcess(BootName(machine: spec.machine, boot: spec.boot)) != nil else { break }
            try await Task.sleep(for: .milliseconds(100))
        }
        await http.shutdown()
        let said = oci.log.tail(spec.machine, lines: 3).split(separator: "\n").joined(separator: " | ")
        throw Failure(description: "its machine started, and its agent did not answer at the door: \(last)" + (said.isEmpty ? "" : " (it said: \(said))"))
    }
}
