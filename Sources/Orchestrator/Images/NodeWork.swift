import Glibc
import MachineAPI

/// Makes an image of a package of an npm registry: resolved and installed once, by hashes, without running a script of it. A
/// start runs `node FILE`; npm is not asked again.
struct NodeWork: ImageWork {
    let factory: ImageFactory
    let step: @Sendable (String) -> Void
    let spec: NpmSpec
    let source: ImageSource
    let base: SharedPart
    let node: SharedPart
    let registry: IndexConfiguration
    let gate: ReleaseGate

    var parts: [SharedPart] { [base, node] }
    private var shared: [LayerArchive.Digest] { parts.map(\.layer) }

    private struct Manifest: Encodable {
        var name = "server"
        var version = "0.0.0"
        var `private` = true
        var dependencies: [String: String]
    }

    func image(in building: String) async throws -> BuiltImage {
        step("Resolving \(spec.text)")
        let manifest = String(decoding: try CanonicalJSON.encode(Manifest(dependencies: [spec.name: spec.range])), as: UTF8.self)
        let locked = try await resolve(building, manifest)
        let files = ["npm.py": BuildScripts.npm, "package.json": manifest, "package-lock.json": String(decoding: locked, as: UTF8.self)]
        let (layer, lock) = try await take(try await run("npm", building, files), for: building)
        if !lock.withScripts.isEmpty {
            let names = lock.withScripts.prefix(10).joined(separator: ", ")
            step("Warning: installation scripts were not run, of \(names): what they would have built is missing.")
        }
        let command = try await Disk.work { [store, base] in
            try NodeStart(
                packages: RootTree(store.layerPath(layer.hex)), base: RootTree(store.layerPath(base.layer.hex)), package: spec.name
            ).resolve(source.start, arguments: source.arguments ?? [])
        }
        return try await publish(
            shared: shared, own: [layer], command: command, directory: "/tmp", environment: NodeLayer.environment, packages: lock.packages)
    }

    /// Chooses versions and tells what they are; nothing of a package is fetched yet.
    ///
    /// - Returns: the lock.
    private func resolve(_ building: String, _ manifest: String) async throws -> [UInt8] {
        let asked = String(decoding: try CanonicalJSON.encode([ReleaseFacts.Question(name: spec.name)]), as: UTF8.self)
        let job = try await run("lock", building, ["lock.py": BuildScripts.npmLock, "package.json": manifest, "releases.json": asked])
        let (bytes, facts) = try await Disk.work {
            (Disk.read(job.output + "/package-lock.json", limit: NpmLock.limit) ?? [],
                ReleaseFacts.read(Disk.read(job.output + "/releases.json", limit: ReleaseFacts.limit)))
        }
        let lock: NpmLock
        do {
            lock = try NpmLock(bytes, registry: registry.url)
        } catch {
            throw ImageBuildFailure(
                error: "bad_package", message: "\(spec.name) needs something that is no package of the registry.", hint: error.message)
        }
        var report = ReleaseReport(
            .npm, name: spec.name, version: lock.version(of: spec.name), facts: facts[spec.name], now: time(nil), rules: gate.rules)
        report.dependencies = max(0, lock.packages.count - 1)
        try gate.pass([report])
        return bytes
    }

    /// Runs one of the scripts with the registry in reach.
    private func run(_ name: String, _ building: String, _ files: [String: String]) async throws -> BuildSpace {
        let job = try await BuildSpace.make(in: building, name: name, files: files, settings: factory.settings)
        let result = try await factory.machine.run(
            BuildJob(
                name: name, layers: shared.map { store.layerPath($0.hex) },
                command: ["/usr/bin/python3", "-I", "/in/\(name).py", registry.url], environment: BuildSpace.environment, output: job.output,
                inputs: [(job.input, "/in")], egress: registry.egress, outputBytes: factory.settings.workBytes),
            line: BuildSpace.progress(step))
        guard result.exitCode == 0, !result.timedOut else { throw NpmDiagnosis(spec: spec, registry: registry).failure(of: result) }
        return job
    }

    private func take(_ job: BuildSpace, for building: String) async throws -> (LayerArchive.Digest, NpmLock) {
        step("Checking what was installed")
        return try await Disk.work { [store, factory, registry] in
            let tree = job.directory + "/layer"
            try Files.makeDirectories(tree + NodeLayer.packages, mode: 0o755)
            var copy = TreeCopy(limits: factory.settings.limits)
            try copy.copy(job.output, below: "tree" + NodeLayer.packages, to: tree + NodeLayer.packages)
            let lock = Disk.read(tree + NodeLayer.packages + "/package-lock.json", limit: NpmLock.limit) ?? []
            return (try store.publishLayer(tree, for: building), try NpmLock(lock, registry: registry.url))
        }
    }
}

/// How a server of an npm package is started.
struct NodeStart {
    /// The layer of packages, whose root is the image's.
    var packages: RootTree
    var base: RootTree
    var package: String

    private static let modules = NodeLayer.packages + "/node_modules/"

    func resolve(_ given: [String]?, arguments: [String]) throws -> [String] {
        guard let given, let word = given.first else {
            return try start(Self.modules + package + "/" + programs(of: package).standard(of: package)) + arguments
        }
        return try resolve(word) + given.dropFirst() + arguments
    }

    private func resolve(_ word: String) throws -> [String] {
        if word == "node" { return [NodeLayer.node] }
        if let path = programs(of: package).programs[word] { return try start(Self.modules + package + "/" + path) }
        if word.hasPrefix("/") {
            if packages.isExecutable(word) || base.isExecutable(word) || word == NodeLayer.node { return [word] }
        } else if ["python", "python3"].contains(word) {
            return ["/usr/bin/python3"]
        } else if ConsoleScript.isPlain(word), packages.isExecutable(Self.modules + ".bin/" + word) {
            // Of a package that it brought along.
            return try start(Self.modules + ".bin/" + word)
        }
        throw ImageBuildFailure(
            error: "no_console_script", message: "The image holds no program \(word.prefix(200)).",
            hint: "It brings: \(programs(of: package).programs.keys.sorted().prefix(20).joined(separator: ", ")); node FILE starts any other.")
    }

    private func programs(of package: String) -> NpmPrograms {
        guard let file = packages.open(Self.modules + package + "/package.json").map({ Descriptor($0) }),
            let bytes = Files.bytes(of: file.value, upTo: 4 << 20)
        else { return NpmPrograms([], package: package) }
        return NpmPrograms(bytes, package: package)
    }

    /// `node FILE`, or the file itself where it is a program for something else.
    private func start(_ path: String) throws -> [String] {
        guard let file = packages.open(path).map({ Descriptor($0) }) else {
            throw ImageBuildFailure(
                error: "no_console_script",
                message: "\(package) names a program that it does not bring: \(path.dropFirst(Self.modules.count).prefix(200)).",
                hint: "Choose another version.")
        }
        switch Magic(file.value) {
        case .other: return [NodeLayer.node, path]
        case .script(_, let program) where program.hasSuffix("node") || program.isEmpty: return [NodeLayer.node, path]
        case .script, .elf:
            try ExecFormat(root: base, name: package, remedy: "Choose another version, or host it with --oci.").check(file.value)
            return [path]
        }
    }
}

/// What the output of npm says about why it failed.
struct NpmDiagnosis {
    var spec: NpmSpec
    var registry: IndexConfiguration

    func failure(of result: BuildJobResult) -> ImageBuildFailure {
        var failure = cause(result)
        if failure.log == nil { failure.log = BuildDiagnosis.tail(result.log) }
        return failure
    }

    private func cause(_ result: BuildJobResult) -> ImageBuildFailure {
        let general = BuildDiagnosis(package: spec.name, python: "", index: registry).failure(of: result)
        guard !result.timedOut, !result.outOfMemory, !["disk_full", "image_too_large"].contains(general.error) else { return general }
        let code = result.log.split(separator: "\n").last { $0.hasPrefix("npm error code ") }.map { String($0.dropFirst(15).prefix(40)) } ?? ""
        switch code {
        case "E404":
            let missing = result.log.split(separator: "'").first { $0.contains("@") && !$0.contains(" ") }.map { String($0.prefix(214)) }
            return ImageBuildFailure(
                error: "unknown_package", message: "The registry has no package \(missing ?? spec.name).", hint: "Check the spelling.")
        case "ETARGET":
            return ImageBuildFailure(
                error: "unknown_version", message: "The registry has no \(Self.target(result.log) ?? spec.text).", hint: "Choose another version.")
        case "EINTEGRITY":
            return ImageBuildFailure(
                error: "bad_package", message: "The registry handed out a package that is not what its hash says.",
                hint: "Try again; the log names it.")
        case "EALLOWGIT", "EALLOWREMOTE", "EALLOWFILE", "EALLOWDIRECTORY":
            return ImageBuildFailure(
                error: "bad_package", message: "\(spec.name) needs something that is no package of the registry.",
                hint: "Only packages of the registry are installed; the log names what it is.")
        case "ERESOLVE":
            return ImageBuildFailure(error: "no_solution", message: "No set of versions satisfies \(spec.text).", hint: "Choose another version.")
        case "ENOTFOUND", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ERR_SOCKET_TIMEOUT", "EAI_AGAIN", "UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "E403",
            "E407", "E502", "E503", "EPROTO":
            return ImageBuildFailure(
                error: "network", message: "The npm registry could not be reached.",
                hint:
                    "Builds reach \(registry.egress.joined(separator: " and ")) and nothing else; check that this host reaches it too (berth up --npm-registry URL names another)."
            )
        default: return ImageBuildFailure(error: "build_failed", message: "\(spec.text) could not be installed.", hint: "The log above tells more.")
        }
    }

    private static func target(_ log: String) -> String? {
        guard let start = log.firstRange(of: "No matching version found for ")?.upperBound else { return nil }
        return String(log[start...].prefix { $0 != " " && $0 != "\n" }.prefix(250)).trimmingSuffixDot
    }
}

extension String {
    fileprivate var trimmingSuffixDot: String { hasSuffix(".") ? String(dropLast()) : self }
}
