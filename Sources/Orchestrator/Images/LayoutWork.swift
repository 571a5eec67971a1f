import Glibc
import MachineAPI

/// Makes an image of somebody else's OCI image that lies on this host as a layout.
///
/// Its layers become one tree in a build machine, without any network; the host copies that by rules. Its layers are not kept
/// apart: what they share with other images is not shared here.
struct LayoutWork: ImageWork {
    let factory: ImageFactory
    let step: @Sendable (String) -> Void
    /// Of the build machine, and no part of the image.
    let base: SharedPart
    let source: ImageSource

    var parts: [SharedPart] { [base] }

    private var name: String { source.folder ?? "The image" }
    private var limits: TreeLimits { factory.settings.limits }

    func image(in building: String) async throws -> BuiltImage {
        step("Looking at the image")
        let layout = try await unpackUpload(source.layout ?? "", in: building)
        let foreign = try await Disk.work { [name, limits, source] in
            try OCILayout(layout, name: name).image(tag: source.tag, limit: limits.bytes)
        }
        return try await image(foreign, of: layout, in: building)
    }

    /// - Parameters:
    ///   - foreign: which of the layout's images, all of whose blobs hold.
    ///   - layout: a directory of ours, with nothing in it but directories, plain files and links inside.
    func image(_ foreign: OCILayout.Image, of layout: String, in building: String) async throws -> BuiltImage {
        let tree = try await unpack(foreign, layout, in: building)
        let start = ForeignStart(root: RootTree(tree), config: foreign.config, name: name)
        let found = try await Disk.work { [source] in try start.resolve(source.start, arguments: source.arguments ?? []) }
        step("Checking what was unpacked")
        let layer = try await Disk.work { [store] in try store.publishLayer(tree, for: building) }
        var built = try await publish(
            shared: [], own: [layer], command: found.command, directory: found.directory, environment: foreign.config.environment)
        built.packages = ["\(foreign.digest)"]
        built.defaults = found.defaults
        return built
    }

    private func unpack(_ image: OCILayout.Image, _ layout: String, in building: String) async throws -> String {
        let plan = Plan(
            layers: image.layers, directory: image.config.directory, bytes: limits.bytes, entries: limits.entries, depth: limits.depth)
        let job = try await BuildSpace.make(
            in: building, name: "layers",
            files: ["layers.py": BuildScripts.layers, "layers.json": String(decoding: try CanonicalJSON.encode(plan), as: UTF8.self)],
            settings: factory.settings)
        let result = try await factory.machine.run(
            BuildJob(
                name: "layers", layers: [store.layerPath(base.layer.hex)], command: ["/usr/bin/python3", "-I", "/in/layers.py"],
                environment: BuildSpace.environment, output: job.output,
                inputs: [(job.input, "/in"), (layout + "/blobs/sha256", "/blobs")], egress: [], outputBytes: limits.bytes + (64 << 20)),
            line: BuildSpace.progress(step))
        guard result.exitCode == 0, !result.timedOut else { throw failure(of: result) }
        let tree = building + "/layer"
        return try await Disk.work { [limits] in
            guard mkdir(tree, 0o755) == 0 else { throw Disk.failure("mkdir", tree, errno) }
            let unusable = ForeignTree.unusable(job.output + "/tree")
            var copy = TreeCopy(
                limits: limits, links: .any, leavesOutSpecials: true, keepsHardLinks: true,
                leavesOut: { unusable.contains($0) || ForeignTree.leavesOut($0) })
            try copy.copy(job.output, below: "tree", to: tree)
            return tree
        }
    }

    private struct Plan: Encodable {
        var layers: [OCILayout.Layer]
        var directory: String
        var bytes, entries, depth: Int
    }

    /// The words that the script may end with; its text is cut and printable, and goes to people only.
    private func failure(of result: BuildJobResult) -> ImageBuildFailure {
        let line = result.log.split(separator: "\n").last { $0.hasPrefix("berth-refused ") }
        let words = line?.split(separator: " ", maxSplits: 2).map(String.init) ?? []
        if words.count == 3, !result.timedOut, !result.outOfMemory {
            switch words[1] {
            case "image_too_large": return OCILayout.tooLarge(name, limits.bytes)
            case "unsafe_content", "bad_image":
                return ImageBuildFailure(
                    error: words[1], message: "\(name) cannot be used: \(words[2].prefix(300)).", hint: "Build it anew, or take another.")
            default: break
            }
        }
        return BuildDiagnosis(package: nil, python: "", index: factory.settings.index).failure(of: result)
    }
}

/// What of a foreign root no machine takes: what machines bring themselves.
enum ForeignTree {
    static func leavesOut(_ path: String) -> Bool {
        leftOut.contains(path) || below.contains { path.hasPrefix($0) }
    }

    private static let leftOut: Set<String> = ["etc/resolv.conf", "etc/hosts", "etc/hostname", ".dockerenv"]
    private static let below = ["dev/", "proc/", "sys/", "tmp/", "run/berth/", "opt/berth/"]

    /// Where machines put something, and the image has no directory: theirs takes its place.
    static func unusable(_ tree: String) -> Set<String> {
        Set(
            ["dev", "proc", "sys", "tmp", "etc", "run", "run/berth", "opt", "opt/berth"].filter { path in
                Files.status(tree + "/" + path).map { $0.st_mode & S_IFMT != S_IFDIR } ?? false
            })
    }
}

/// How the server of a foreign image is started: by what the image says, or by what an operator says in its place.
struct ForeignStart {
    var root: RootTree
    var config: ForeignConfig
    /// What the image is called, for people.
    var name: String

    /// - Parameters:
    ///   - given: a whole command, or nil for the image's own.
    ///   - arguments: take the place of the image's own arguments where it has a program of its own, as an engine's would.
    func resolve(_ given: [String]?, arguments: [String]) throws -> (command: [String], directory: String, defaults: BuiltImage.Defaults?) {
        let directory = root.isDirectory(config.directory) ? config.directory : "/"
        if let given {
            let program = try program(given, in: directory)
            return (program + arguments, directory, try? defaults(in: directory))
        }
        let defaults = try defaults(in: directory)
        return (defaults.start(arguments), directory, defaults)
    }

    private func defaults(in directory: String) throws(ImageBuildFailure) -> BuiltImage.Defaults {
        let (entrypoint, arguments) = (config.entrypoint, config.arguments)
        guard !(entrypoint + arguments).isEmpty else {
            throw ImageBuildFailure(error: "no_command", message: "\(name) names no command to start.", hint: "Give it after --: -- /path/of/server.")
        }
        for word in entrypoint + arguments where word.utf8.contains(0) || word.utf8.count > 64 << 10 {
            throw ImageBuildFailure(error: "bad_image", message: "\(name) names a command that nothing can start.", hint: "Give one after --.")
        }
        // Without a program of its own the arguments are the command, which others add to.
        if entrypoint.isEmpty { return .init(command: try program(arguments, in: directory), arguments: []) }
        return .init(command: try program(entrypoint, in: directory), arguments: arguments)
    }

    private func program(_ words: [String], in directory: String) throws(ImageBuildFailure) -> [String] {
        guard let word = words.first, !word.isEmpty else { throw missing("") }
        let places: [String]
        if word.hasPrefix("/") {
            places = [word]
        } else if word.contains("/") {
            places = [(directory == "/" ? "" : directory) + "/" + (word.hasPrefix("./") ? String(word.dropFirst(2)) : word)]
        } else {
            places = (config.environment["PATH"] ?? "").split(separator: ":").filter { $0.hasPrefix("/") }.prefix(32).map { "\($0)/\(word)" }
        }
        guard let path = places.first(where: { root.isExecutable($0) }) else { throw missing(word) }
        guard let file = root.open(path).map({ Descriptor($0) }) else { throw missing(word) }
        try ExecFormat(
            root: root, name: word, remedy: "The image is not whole: build it on one that has what its program is linked to."
        ).check(file.value)
        return [path] + words.dropFirst()
    }

    private func missing(_ word: String) -> ImageBuildFailure {
        ImageBuildFailure(
            error: "no_program", message: "\(name) holds no program \(word.prefix(200)).", hint: "Give the path of one after --: -- /path/of/server.")
    }
}
