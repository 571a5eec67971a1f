import AuthorCommands
import Glibc
import JSONText
import NIOCore
import StdioBridge

/// An OCI image layout on this host, as `--oci` names it: a directory or a tar archive, and an image of it by name.
struct LayoutPlace {
    let path: String
    let tag: String?
    let isArchive: Bool

    /// For people.
    var name: String {
        let own = path.split(separator: "/").last.map(String.init) ?? path
        return Printable.line(tag.map { "\(own):\($0)" } ?? own)
    }

    private static let maximumBytes = 3 << 30

    /// Whether it is an image of a registry: there is no such path here, and it could not be one of a layout.
    static func isReference(_ text: String) -> Bool {
        guard access(text, F_OK) != 0, !text.hasPrefix("/"), !text.hasPrefix("."), !text.hasSuffix(".tar"), text.contains("/") else { return false }
        // A layout with an image's name behind it.
        guard let colon = text.lastIndex(of: ":") else { return true }
        return access(String(text[..<colon]), F_OK) != 0
    }

    /// Of `PATH` or `PATH:NAME`; a path that is there as a whole is none with a name.
    init(_ text: String) throws {
        var (path, tag): (String, String?) = (text, nil)
        if access(text, F_OK) != 0, let colon = text.lastIndex(of: ":"), !text[colon...].contains("/"), access(String(text[..<colon]), F_OK) == 0 {
            (path, tag) = (String(text[..<colon]), String(text[text.index(after: colon)...]))
        }
        var info = stat()
        guard stat(path, &info) == 0 else {
            throw Failure(
                "--oci \(text) cannot be read: \(String(cString: strerror(errno)))", hint: "give an OCI image layout, a directory or a .tar, or HOST/NAME[:TAG] of a registry", code: 64
            )
        }
        (self.path, self.tag) = (path, tag)
        isArchive = info.st_mode & S_IFMT == S_IFREG
        guard isArchive || info.st_mode & S_IFMT == S_IFDIR else {
            throw Failure("--oci \(text) is neither a directory nor a file", hint: "give an OCI image layout", code: 64)
        }
    }

    /// The layout as an archive; of a directory what belongs to a layout.
    func packed() throws -> ByteBuffer {
        if isArchive {
            let bytes = try content(path)
            guard !bytes.starts(with: [0x1f, 0x8b]) else {
                throw Failure("--oci \(path) is compressed", hint: "gunzip it first: the archive itself is wanted", code: 64)
            }
            return ByteBuffer(bytes: bytes)
        }
        guard access(path + "/index.json", F_OK) == 0 else {
            throw Failure("--oci \(path) is no OCI image layout: it has no index.json", hint: "skopeo copy … oci:DIR makes one", code: 64)
        }
        var writer = TarWriter()
        for name in ["oci-layout", "index.json"] where access("\(path)/\(name)", F_OK) == 0 {
            writer.file(name, try content("\(path)/\(name)"), executable: false)
        }
        for blob in directoryNames(path + "/blobs/sha256") ?? [] {
            let bytes = try content("\(path)/blobs/sha256/\(blob)")
            guard writer.count + bytes.count < Self.maximumBytes else { throw tooLarge }
            writer.file("blobs/sha256/\(blob)", bytes, executable: false)
        }
        return writer.finish()
    }

    private func content(_ file: String) throws -> [UInt8] {
        var info = stat()
        if stat(file, &info) == 0, info.st_size > Self.maximumBytes { throw tooLarge }
        guard let bytes = readFile(file) else {
            throw Failure("--oci: \(file) cannot be read: \(String(cString: strerror(errno)))", hint: "give a layout that you can read", code: 64)
        }
        return bytes
    }

    private var tooLarge: Failure {
        Failure("--oci \(path) is over 3 GiB", hint: "copy the one image that is meant into a layout of its own", code: 64)
    }
}
