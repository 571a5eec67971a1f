import Glibc
import MachineAPI
import Sealing

/// Makes what every image starts from.
protocol BaseParts: Sendable {
    func baseKey() async throws -> String
    /// Fills `tree` and answers its facts (`python`).
    func makeBase(_ tree: String, _ scratch: String, _ step: @escaping @Sendable (String) -> Void) async throws -> [String: String]
    func builderKey() throws -> String
    func nodeKey(registry: String?) throws -> String
    /// Fills `tree` with Node and npm, and answers npm's own default registry as `registry`, where none is set.
    func makeNode(
        _ tree: String, _ scratch: String, _ base: String, _ step: @escaping @Sendable (String) -> Void
    ) async throws -> [String: String]
    func makeBuilder(
        _ tree: String, _ scratch: String, _ base: String, _ step: @escaping @Sendable (String) -> Void
    ) async throws -> [String: String]
}

/// The base system from this host's package mirrors, and the build tool from the package index.
struct HostParts: BaseParts {
    let settings: ImageSettings
    let machine: any BuildMachine

    func baseKey() async throws -> String { try await Disk.work { try CanonicalJSON.digest(try BaseRecipe.host()) } }

    func makeBase(_ tree: String, _ scratch: String, _ step: @escaping @Sendable (String) -> Void) async throws -> [String: String] {
        let recipe = try BaseRecipe.host()
        step("Making the base system (\(recipe.release), once per host)")
        let raw = scratch + "/raw"
        try await recipe.extract(into: raw, scratch: scratch)
        let limits = settings.limits
        let python = try await Disk.work {
            var copy = TreeCopy(limits: limits, links: .any, leavesOutSpecials: true, leavesOut: BaseTree.leavesOut)
            try copy.copy(raw, to: tree)
            try Files.removeTree(raw)
            return try BaseTree.complete(tree)
        }
        // Compiled once here: a start could not write what it compiled.
        step("Compiling Python's own library")
        let job = try await BuildSpace.make(in: scratch, name: "compile", files: ["compile.py": BuildScripts.compile], settings: settings)
        let result = try await machine.run(
            BuildJob(
                name: "base", layers: [tree], command: ["/usr/bin/python3", "-I", "/in/compile.py", "/usr/lib/python3", "/usr/lib/python" + python],
                environment: BuildSpace.environment, output: job.output, inputs: [(job.input, "/in")], egress: []),
            line: { _ in })
        guard result.exitCode == 0, !result.timedOut else {
            throw BuildDiagnosis(package: nil, python: python, index: settings.index).failure(of: result)
        }
        try await Disk.work {
            var copy = TreeCopy(limits: limits)
            try copy.copy(job.output, below: "tree", to: tree)
        }
        return ["python": python]
    }

    func builderKey() throws -> String { try CanonicalJSON.digest(BuilderPin.current) }

    func makeBuilder(
        _ tree: String, _ scratch: String, _ base: String, _ step: @escaping @Sendable (String) -> Void
    ) async throws -> [String: String] {
        let pin = BuilderPin.current
        step("Fetching the build tool (\(pin.project) \(pin.version), once per host)")
        let program = "opt/berth-build/" + pin.project
        let wheel = PinnedWheel(
            project: pin.project, version: pin.version, file: pin.file, sha256: pin.sha256, members: ["\(pin.member)=\(program)"])
        try await unpack(wheel, into: tree, scratch, above: base) { tree in try FileDigest.hex(tree + "/" + program) == pin.memberSHA256 }
        return ["version": pin.version]
    }
}

/// The digest of a file.
enum FileDigest {
    static func hex(_ path: String) throws -> String {
        let descriptor = Descriptor(open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW))
        guard descriptor.value >= 0 else { throw Disk.failure("open", path, errno) }
        return try hex(of: descriptor.value, path)
    }

    /// Of an open one, from where it stands.
    ///
    /// - Parameter path: what it is called where it cannot be read.
    static func hex(of descriptor: Int32, _ path: String) throws -> String {
        let hash = try SHA256()
        var chunk = [UInt8](repeating: 0, count: 256 << 10)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw Disk.failure("read", path, errno) }
            if count == 0 { return Hex.encode(try hash.finish()) }
            try chunk.withUnsafeBytes { try hash.update(UnsafeRawBufferPointer(rebasing: $0[0..<count])) }
        }
    }
}
