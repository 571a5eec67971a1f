import Glibc
import MachineAPI
import Sealing

/// A build of Python packages, of a folder, or of both.
struct BuildRun: ImageWork {
    let factory: ImageFactory
    let plan: BuildPlan
    let base: SharedPart
    let builder: SharedPart
    let gate: ReleaseGate
    let step: @Sendable (String) -> Void

    var parts: [SharedPart] { [base, builder] }
    private var python: String { base.facts["python"] ?? "3" }

    func image(in building: String) async throws -> BuiltImage {
        var own: [LayerArchive.Digest] = []
        var folder: LayerArchive.Digest?
        var packages: [String] = []
        switch plan.content {
        case .package(let requirement):
            step("Resolving \(requirement.text)")
            let texts = [requirement.text] + plan.with.map(\.text)
            let installed = try await install(building, requirements: .text(texts.joined(separator: "\n") + "\n"), folder: nil)
            own.append(installed.layer)
            packages = installed.packages
        case .upload(let digest, let wantsRequirements):
            step("Unpacking the folder")
            let layer = try await unpack(digest, in: building)
            folder = layer
            if wantsRequirements {
                guard Files.status(store.layerPath(layer.hex) + PythonLayer.folder + "/requirements.txt")?.st_mode.isRegularFile ?? false else {
                    throw ImageBuildFailure(
                        error: "no_requirements", message: "The folder holds no requirements.txt.", hint: "Add one, or leave its requirements out.")
                }
                let listed = store.layerPath(layer.hex) + PythonLayer.folder + "/requirements.txt"
                guard let bytes = try await Disk.work({ Disk.read(listed, limit: RequirementsFile.limit) }) else {
                    throw ImageBuildFailure(
                        error: "bad_requirements", message: "The folder's requirements.txt cannot be read, or is longer than 1 MiB.")
                }
                try RequirementsFile.check(bytes)
                step("Resolving requirements.txt")
                let installed = try await install(building, requirements: .folder, folder: layer)
                own.append(installed.layer)
                packages = installed.packages
            }
            own.append(layer)
            if let compiled = try await compile(building, folder: layer) { own.append(compiled) }
        }
        let resolver = CommandResolver(
            trees: ([base.layer] + own).reversed().map { store.layerPath($0.hex) }, python: python, package: plan.package, hasFolder: folder != nil)
        let command = try await Disk.work { [plan] in try resolver.resolve(plan.command, arguments: plan.arguments) }
        if let folder { try await checkFormat(command, of: folder) }
        return try await publish(
            shared: [base.layer], own: own, command: command, directory: folder == nil ? "/tmp" : PythonLayer.folder,
            environment: PythonLayer.environment(hasPackages: !packages.isEmpty), packages: packages)
    }

    /// A folder's own program is looked at, as one that comes alone.
    private func checkFormat(_ command: [String], of folder: LayerArchive.Digest) async throws {
        guard let program = command.first, program.hasPrefix(PythonLayer.folder + "/") else { return }
        let (own, base) = (RootTree(store.layerPath(folder.hex)), RootTree(store.layerPath(base.layer.hex)))
        try await Disk.work {
            guard let file = own.open(program).map({ Descriptor($0) }) else { return }
            try ExecFormat(
                root: base, name: String(program.split(separator: "/").last ?? ""), remedy: ExecFormat.staticRemedy
            ).check(file.value)
        }
    }

    // MARK: Packages

    private enum Requirements: Sendable {
        case text(String)
        /// `requirements.txt` of the uploaded folder.
        case folder
    }

    private func install(
        _ building: String, requirements: Requirements, folder: LayerArchive.Digest?
    ) async throws -> (layer: LayerArchive.Digest, packages: [String]) {
        let constraints = plan.constraints.map { $0.text + "\n" }.joined()
        var files = ["install.py": BuildScripts.install, "constraints.txt": constraints]
        var path = PythonLayer.folder + "/requirements.txt"
        if case .text(let text) = requirements {
            files["requirements.in"] = text
            path = "/in/requirements.in"
        }
        let layers = [base, builder].map { store.layerPath($0.layer.hex) } + (folder.map { [store.layerPath($0.hex)] } ?? [])
        let lock = try await resolve(building, files, path, layers)
        if let lock { files["requirements.lock"] = lock }
        return try await take(try await run("install", building, files, path, layers), by: lock, below: "opt/mcp", for: building)
    }

    /// Chooses versions and tells what they are, in a machine in which nothing of a package runs.
    ///
    /// - Returns: the lock; nil where a package has to be built for that, which the installation does.
    private func resolve(_ building: String, _ given: [String: String], _ path: String, _ layers: [String]) async throws -> String? {
        let asked = plan.releases
        var files = given
        files["resolve.py"] = BuildScripts.resolve
        files["releases.json"] = String(decoding: try CanonicalJSON.encode(asked), as: UTF8.self)
        let job = try await run("resolve", building, files, path, layers)
        let (lock, facts) = try await Disk.work {
            let lock = Disk.read(job.output + "/requirements.lock", limit: 4 << 20).map { String(decoding: $0, as: UTF8.self) }
            return (lock, ReleaseFacts.read(Disk.read(job.output + "/releases.json", limit: ReleaseFacts.limit)))
        }
        let versions = lock.map(Lockfile.versions) ?? [:]
        let now = time(nil)
        try gate.pass(
            asked.map { one in
                var report = ReleaseReport(
                    .pypi, name: one.name, version: versions[one.name] ?? one.version, facts: facts[one.name], now: now, rules: gate.rules)
                if lock != nil, one == asked.first { report.dependencies = max(0, versions.count - asked.count) }
                return report
            })
        return lock
    }

    /// Runs one of the scripts with the index in reach.
    private func run(_ name: String, _ building: String, _ files: [String: String], _ path: String, _ layers: [String]) async throws -> BuildSpace {
        let job = try await BuildSpace.make(in: building, name: name, files: files, settings: factory.settings)
        let result = try await factory.machine.run(
            BuildJob(
                name: name, layers: layers,
                command: ["/usr/bin/python3", "-I", "/in/\(name).py", factory.settings.index.url, path, "/in/constraints.txt"],
                environment: BuildSpace.environment, output: job.output, inputs: [(job.input, "/in")], egress: factory.settings.index.egress,
                outputBytes: factory.settings.workBytes),
            line: BuildSpace.progress(step))
        guard result.exitCode == 0, !result.timedOut else {
            throw BuildDiagnosis(
                package: plan.package, python: python, index: factory.settings.index, constraints: plan.constraints.map(\.text)).failure(of: result)
        }
        return job
    }

    /// Makes a layer of what an installation left behind.
    ///
    /// - Parameter given: what it installed by; nil where it resolved by itself.
    private func take(
        _ job: BuildSpace, by given: String?, below subtree: String, for building: String
    ) async throws -> (layer: LayerArchive.Digest, packages: [String]) {
        try await Disk.work { [store, factory, step] in
            step("Checking what was installed")
            let tree = job.directory + "/layer"
            try Files.makeDirectories(tree + "/" + subtree, mode: 0o755)
            // The resolver's own lock file would make equal installations differ in nothing but noise.
            // A list of packages that a package brought is no list of ours.
            var copy = TreeCopy(limits: factory.settings.limits, leavesOut: { $0 == ".lock" || $0 == Lockfile.name })
            try copy.copy(job.output, below: "tree/" + subtree, to: tree + "/" + subtree)
            let own = given.map { Array($0.utf8) } ?? Disk.read(job.output + "/" + Lockfile.name, limit: 4 << 20)
            guard let own else { throw ImageBuildFailure(error: "build_failed", message: "The build left no list of packages behind.") }
            let lock = String(decoding: own, as: UTF8.self)
            let path = tree + "/" + subtree + "/" + Lockfile.name
            let file = Descriptor(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o644))
            guard file.value >= 0, fchmod(file.value, 0o644) == 0 else { throw Disk.failure("create", path, errno) }
            try Disk.write(file.value, own, path)
            if let other = Lockfile.unlisted(in: tree + "/" + subtree, lock) {
                throw ImageBuildFailure(
                    error: "build_failed", message: "What was installed is not what was resolved: \(other.prefix(200)).",
                    hint: "A package puts another one's files into the image: do not take it.")
            }
            guard Lockfile.isHashed(lock) else {
                throw ImageBuildFailure(
                    error: "build_failed", message: "A package has no hash to be checked against.", hint: "Take packages from the index only.")
            }
            return (try store.publishLayer(tree, for: building), Lockfile.packages(lock))
        }
    }

    // MARK: Folders

    private func unpack(_ digest: String, in building: String) async throws -> LayerArchive.Digest {
        let raw = try await unpackUpload(digest, in: building)
        return try await Disk.work { [store, factory] in
            let tree = building + "/folder"
            try Files.makeDirectories(tree + PythonLayer.folder, mode: 0o755)
            var copy = TreeCopy(limits: factory.settings.limits)
            try copy.copy(raw, to: tree + PythonLayer.folder)
            guard copy.entries > 0 else {
                throw ImageBuildFailure(
                    error: "bad_upload", message: "The uploaded folder is empty.", hint: "Upload the folder that holds the server.")
            }
            return try store.publishLayer(tree, for: building)
        }
    }

    /// Compiles the folder's modules: in a read-only image they would be compiled at every start.
    private func compile(_ building: String, folder: LayerArchive.Digest) async throws -> LayerArchive.Digest? {
        let root = store.layerPath(folder.hex) + PythonLayer.folder
        guard try await Disk.work({ BuildSpace.holdsModules(root, depth: 8) }) else { return nil }
        step("Compiling the folder's modules")
        let job = try await BuildSpace.make(in: building, name: "compile", files: ["compile.py": BuildScripts.compile], settings: factory.settings)
        let result = try await factory.machine.run(
            BuildJob(
                name: "compile", layers: [base.layer, folder].map { store.layerPath($0.hex) },
                command: ["/usr/bin/python3", "-I", "/in/compile.py", PythonLayer.folder],
                environment: BuildSpace.environment, output: job.output, inputs: [(job.input, "/in")], egress: [],
                outputBytes: factory.settings.workBytes),
            line: { _ in })
        guard result.exitCode == 0, !result.timedOut else {
            throw BuildDiagnosis(package: nil, python: python, index: factory.settings.index).failure(of: result)
        }
        return try await Disk.work { [store, factory] in
            guard Files.isDirectory(job.output + "/tree") else { return nil }
            let tree = job.directory + "/layer"
            guard mkdir(tree, 0o755) == 0 else { throw Disk.failure("mkdir", tree, errno) }
            var copy = TreeCopy(limits: factory.settings.limits)
            try copy.copy(job.output, below: "tree", to: tree)
            return copy.entries > 0 ? try store.publishLayer(tree, for: building) : nil
        }
    }
}
