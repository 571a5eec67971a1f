import Glibc
import MachineAPI

/// Makes an image of one executable: over a root that holds accounts, certificates and nothing that runs. A program that is
/// linked to this distribution's C library has the base system below it, which it needs.
struct BinaryWork: ImageWork {
    let factory: ImageFactory
    let step: @Sendable (String) -> Void
    /// Of the upload that holds it.
    let upload: String
    let command: [String]?
    let arguments: [String]

    var parts: [SharedPart] { [] }

    func image(in building: String) async throws -> BuiltImage {
        step("Looking at the program")
        let raw = try await unpackUpload(upload, in: building)
        let name = try await Disk.work { try Self.name(in: raw) }
        let below: LayerArchive.Digest
        let tree: String
        if try await Disk.work({ try Self.loader(raw + "/" + name, name) }) != nil {
            step("\(name) is linked to a C library: the base system goes below it")
            let base = try await factory.readyBase(step)
            try await keep(base, for: building)
            below = base.layer
            tree = store.layerPath(below.hex)
        } else {
            below = try await bareRoot(building)
            tree = store.layerPath(below.hex)
        }
        let layer = try await Disk.work { [factory, store] in
            let file = Descriptor(open(raw + "/" + name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW))
            guard file.value >= 0 else { throw Disk.failure("open", name, errno) }
            try ExecFormat(root: RootTree(tree), name: name, remedy: ExecFormat.staticRemedy).check(file.value)
            let tree = building + "/layer"
            try Files.makeDirectories(tree + PythonLayer.folder, mode: 0o755)
            var copy = TreeCopy(limits: factory.settings.limits)
            try copy.copy(raw, to: tree + PythonLayer.folder)
            let program = tree + PythonLayer.folder + "/" + name
            guard chmod(program, 0o755) == 0 else { throw Disk.failure("chmod", program, errno) }
            return try store.publishLayer(tree, for: building)
        }
        let start = try start(name)
        return try await publish(
            shared: [below], own: [layer], command: start, directory: PythonLayer.folder,
            environment: ["PATH": "/usr/local/bin:/usr/bin:/bin"])
    }

    /// The upload's one file.
    private static func name(in raw: String) throws -> String {
        let names = Files.names(raw)
        guard names.count == 1, let name = names.first, Files.status(raw + "/" + name)?.st_mode.isRegularFile == true, ConsoleScript.isPlain(name)
        else {
            throw ImageBuildFailure(
                error: "bad_upload", message: "The upload does not hold one program and nothing else.",
                hint: "Its name has letters, digits and ._-+ only; a server of several files goes by --dir.")
        }
        return name
    }

    /// What must be there to start it, where that is asked of the root; nil too for what is no program of this host.
    private static func loader(_ path: String, _ name: String) throws -> String? {
        let file = Descriptor(open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW))
        guard file.value >= 0 else { throw Disk.failure("open", name, errno) }
        // What is wrong with it is told by the check, with what its root has.
        guard Magic(file.value) == .elf, let loader = (try? ELFFile(reading: file.value))?.loader else { return nil }
        // The base system brings glibc's; any other is missing there as well, and is told so without making it.
        return loader.split(separator: "/").last?.hasPrefix("ld-linux") == true ? loader : nil
    }

    /// The program itself, or what an operator gives in its place, whose first word stands for it.
    private func start(_ name: String) throws(ImageBuildFailure) -> [String] {
        let program = PythonLayer.folder + "/" + name
        guard let command, let first = command.first else { return [program] + arguments }
        guard [name, "./" + name, program].contains(first) else {
            throw ImageBuildFailure(
                error: "no_program", message: "The image holds \(name) and no program \(first.prefix(200)).",
                hint: "Leave the command out: arguments of the program go by --arg.")
        }
        return [program] + command.dropFirst() + arguments
    }

    /// Accounts, name services and certificates: what programs look up without starting anything.
    private func bareRoot(_ building: String) async throws -> LayerArchive.Digest {
        try await Disk.work { [factory, store] in
            guard let certificates = Disk.readFollowing(factory.settings.caBundle, limit: 8 << 20) else {
                throw ImageBuildFailure(
                    error: "internal", message: "\(factory.settings.caBundle) cannot be read.", hint: "apt-get install ca-certificates")
            }
            let tree = building + "/root"
            try Files.makeDirectories(tree + "/etc/ssl/certs", mode: 0o755)
            for (name, bytes) in [
                ("passwd", Array(BaseTree.users.utf8)), ("group", Array(BaseTree.groups.utf8)), ("nsswitch.conf", Array(BaseTree.nameServices.utf8)),
                ("ssl/certs/ca-certificates.crt", certificates),
            ] {
                let path = tree + "/etc/" + name
                try Files.write(path, bytes, mode: 0o644)
                guard chmod(path, 0o644) == 0 else { throw Disk.failure("chmod", path, errno) }
            }
            return try store.publishLayer(tree, for: building)
        }
    }
}
