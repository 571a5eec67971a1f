import Glibc
import MachineAPI

extension HostParts {
    private struct NodeKey: Encodable {
        var pin = NodePin.current
        /// The registry is a fact of the part only where nobody chose one.
        var asksRegistry: Bool
    }

    func nodeKey(registry: String?) throws -> String { try CanonicalJSON.digest(NodeKey(asksRegistry: registry == nil)) }

    func makeNode(
        _ tree: String, _ scratch: String, _ base: String, _ step: @escaping @Sendable (String) -> Void
    ) async throws -> [String: String] {
        let pin = NodePin.current
        step("Fetching Node \(pin.version) and npm (once per host)")
        let wheel = PinnedWheel(project: pin.project, version: pin.version, file: pin.file, sha256: pin.sha256, members: NodePin.members)
        try await unpack(wheel, into: tree, scratch, above: base) { tree in
            try chmod(tree, 0o755) == 0 && LayerArchive.digest(of: tree).hex == pin.layer
        }
        guard settings.npmRegistry == nil else { return ["version": pin.version] }
        return ["version": pin.version, "registry": try await defaultRegistry(tree, scratch, base)]
    }

    /// As npm itself has it: no host's name of a registry stands in this program.
    private func defaultRegistry(_ tree: String, _ scratch: String, _ base: String) async throws -> String {
        let job = try await BuildSpace.make(in: scratch, name: "registry", files: ["registry.py": BuildScripts.registry], settings: settings)
        let result = try await machine.run(
            BuildJob(
                name: "registry", layers: [base, tree], command: ["/usr/bin/python3", "-I", "/in/registry.py"],
                environment: BuildSpace.environment, output: job.output, inputs: [(job.input, "/in")], egress: []),
            line: { _ in })
        let url = try await Disk.work { Disk.read(job.output + "/registry", limit: 1_024).map { String(decoding: $0, as: UTF8.self) } }
        guard result.exitCode == 0, let url, let registry = try? IndexConfiguration(url: url) else {
            throw ImageBuildFailure(
                error: "builder_failed", message: "npm did not say which registry it uses.", hint: "Name one: berth up --npm-registry URL.",
                log: BuildDiagnosis.tail(result.log))
        }
        return registry.url
    }
}
