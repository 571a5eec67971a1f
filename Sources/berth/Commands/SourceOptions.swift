import ArgumentParser
import AuthorCommands
import Gateway
import Glibc
import JSONText
import NIOCore

/// Where a connector comes from, beside a PyPI package and a folder.
struct SourceOptions: ParsableArguments {
    @Option(help: ArgumentHelp("A package of npm, for example name, name@1.2.3 or @scope/name.", valueName: "spec")) var npm: String?
    @Option(
        help: ArgumentHelp("One executable file for Linux, a static one of Go, Rust or C for example: it has a root of its own.", valueName: "file"))
    var binary: String?
    @Option(
        help: ArgumentHelp(
            "An OCI image: a layout on this host (a directory or a .tar, with :NAME behind it where it holds several images), or HOST/NAME[:TAG] of a registry.",
            valueName: "image"))
    var oci: String?
    @Option(
        parsing: .singleValue,
        help: ArgumentHelp("A further package to install beside that of --pypi, as uvx has it (repeatable).", valueName: "req"))
    var with: [String] = []
    @Option(
        help: ArgumentHelp(
            "Which Python the package of --pypi is to have: 3.11, or a range such as '>=3.10,<3.13'. Images have that of the host's distribution; another is refused.",
            valueName: "version"))
    var python: String?

    /// The options that are given, as they are written.
    var given: [String] { [("--npm", npm), ("--binary", binary), ("--oci", oci)].compactMap { $0.1 == nil ? nil : $0.0 } }

    /// Uploads what is to be uploaded, and names it in the request's source.
    func add(to source: inout JSONObject, _ installation: Installation) async throws {
        if let npm { source["npm"] = .string(npm) }
        if !with.isEmpty { source["with"] = .strings(with) }
        if let python { source["python"] = .string(python) }
        if let binary {
            let (name, tar) = try Self.packed(binary)
            let answer = try await ControlClient.orchestrator(installation).upload("/v1/berth/uploads", tar)
            source["binary"] = answer["digest"] ?? .null
            source["folder"] = .string(name)
        }
        if let oci, LayoutPlace.isReference(oci) {
            source["oci"] = .string(oci)
        } else if let oci {
            let place = try LayoutPlace(oci)
            let answer = try await ControlClient.orchestrator(installation).upload("/v1/berth/uploads", try place.packed())
            source["layout"] = answer["digest"] ?? .null
            source["folder"] = .string(place.name)
            if let tag = place.tag { source["tag"] = .string(tag) }
        }
    }

    /// One file as an archive; what it is, the build looks at.
    static func packed(_ path: String) throws -> (name: String, tar: ByteBuffer) {
        var info = stat()
        guard stat(path, &info) == 0 else {
            throw Failure("--binary \(path) cannot be read: \(String(cString: strerror(errno)))", hint: "give an executable file", code: 64)
        }
        guard info.st_mode & S_IFMT == S_IFREG else { throw Failure("--binary \(path) is no file", hint: "a folder goes by --dir", code: 64) }
        guard info.st_size <= FolderArchive.maximumBytes - 4_096 else {
            throw Failure("--binary \(path) is over 256 MiB", hint: "strip it of its symbols", code: 64)
        }
        guard let content = readFile(path) else {
            throw Failure("--binary \(path) cannot be read: \(String(cString: strerror(errno)))", hint: "give a file that you can read", code: 64)
        }
        // Its name is that of a file in the image, and nothing depends on it.
        let own = path.split(separator: "/").last.map(String.init) ?? ""
        let plain = String(
            own.unicodeScalars.filter { $0.isASCII && ($0.properties.isAlphabetic || ("0"..."9").contains($0) || "._-+".unicodeScalars.contains($0)) }
                .map(Character.init))
        let name = plain.isEmpty || plain.hasPrefix(".") || plain.hasPrefix("-") || plain.hasPrefix("+") ? "server" : String(plain.prefix(100))
        var writer = TarWriter()
        writer.file(name, content, executable: true)
        return (name, writer.finish())
    }
}
