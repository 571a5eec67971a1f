import MachineAPI

/// A wheel of the package index that the host's own parts are made of, pinned by its hash.
struct PinnedWheel: Sendable {
    var project: String
    var version: String
    /// Its file name.
    var file: String
    /// SHA-256 of the wheel.
    var sha256: String
    /// What is taken of it, and where it goes: `PATH=PATH`, a folder with a `/` at its end.
    var members: [String]
}

extension HostParts {
    /// Fetches and opens a wheel in a build machine, and takes over what came of it.
    ///
    /// - Parameter isPinned: whether what lies in the tree now is what was pinned. The machine has checked the wheel; this is the host's own look.
    /// - Throws: ``ImageBuildFailure``, `builder_failed` where it is not the pinned one.
    func unpack(
        _ wheel: PinnedWheel, into tree: String, _ scratch: String, above base: String, isPinned: @escaping @Sendable (_ tree: String) throws -> Bool
    ) async throws {
        let job = try await BuildSpace.make(in: scratch, name: "fetch", files: ["fetch.py": BuildScripts.fetch], settings: settings)
        let result = try await machine.run(
            BuildJob(
                name: "fetch", layers: [base],
                command: ["/usr/bin/python3", "-I", "/in/fetch.py", settings.index.url, wheel.project, wheel.file, wheel.sha256] + wheel.members,
                environment: BuildSpace.environment, output: job.output, inputs: [(job.input, "/in")], egress: settings.index.egress),
            line: { _ in })
        guard result.exitCode == 0, !result.timedOut else {
            var failure = BuildDiagnosis(package: wheel.project, python: "", index: settings.index).failure(of: result)
            if failure.error == "build_failed" { failure.error = "builder_failed" }
            throw failure
        }
        try await Disk.work {
            var copy = TreeCopy(limits: settings.limits)
            try copy.copy(job.output, below: "tree", to: tree)
            guard try isPinned(tree) else {
                throw ImageBuildFailure(
                    error: "builder_failed", message: "\(wheel.project) \(wheel.version) is not the pinned one.",
                    hint: "The package index handed out something else.")
            }
        }
    }
}
