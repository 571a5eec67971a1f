import Glibc

/// What lies in a layer that tells of packages. No link is followed and nothing is run; what is over a bound is left out, and
/// the bill says that it is not whole.
struct LayerSurvey {
    struct Limits {
        var entries = 500_000
        var depth = 64
        var documents = 20_000
        /// Of all documents together.
        var bytes = 256 << 20
        var document = 16 << 20
        var components = 20_000
    }

    /// Whether everything was looked at.
    private(set) var isWhole = true
    /// Whether there is a lock in it that its packages were installed by.
    private(set) var isLocked = false
    private(set) var components: [BillOfMaterials.Component] = []
    /// Of a root without a package manager's list.
    private var documented: [String] = []
    private var osRelease = ""
    private var (dpkg, apk): (String, String) = ("", "")
    private let limits: Limits
    private var entries = 0
    private var documents = 0
    private var bytes = 0

    /// - Parameter layer: the directory of the layer.
    init(_ layer: String, limits: Limits = Limits()) {
        self.limits = limits
        let root = Descriptor(open(layer, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW))
        guard root.value >= 0 else {
            isWhole = false
            return
        }
        walk(root.value, [])
        let debian = SystemParts(osRelease: osRelease, otherwise: "debian")
        add(debian.debian(dpkg, atMost: room + 1))
        if dpkg.isEmpty { add(debian.documented(documented)) }
        add(SystemParts(osRelease: osRelease, otherwise: "alpine").alpine(apk, atMost: room + 1))
    }

    private var room: Int { limits.components - components.count }

    private mutating func add(_ more: [BillOfMaterials.Component]) {
        if more.count > room { isWhole = false }
        components += more.prefix(room)
    }

    private mutating func walk(_ directory: Int32, _ path: [String]) {
        guard path.count < limits.depth, let names = try? TreeCopy.names(directory, path.joined(separator: "/")) else {
            isWhole = false
            return
        }
        for name in names.sorted() {
            entries += 1
            guard entries <= limits.entries else {
                isWhole = false
                return
            }
            var status = stat()
            guard fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            if status.st_mode & S_IFMT == S_IFDIR {
                let child = Descriptor(openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW))
                if child.value >= 0 { walk(child.value, path + [name]) } else { isWhole = false }
            } else if status.st_mode.isRegularFile {
                look(directory, path, name)
            }
        }
    }

    private mutating func look(_ directory: Int32, _ path: [String], _ name: String) {
        let folder = path.joined(separator: "/")
        switch (folder, name) {
        case ("var/lib/dpkg", "status"): dpkg = text(directory, name)
        case ("lib/apk/db", "installed"), ("usr/lib/apk/db", "installed"): apk = text(directory, name)
        case ("etc", "os-release"): osRelease = text(directory, name)
        case ("usr/lib", "os-release"): if osRelease.isEmpty { osRelease = text(directory, name) }
        case (_, "requirements.lock") where folder + "/" + name == PythonParts.lock:
            add(PythonParts.locked(text(directory, name)))
            isLocked = true
        case (_, "package-lock.json") where folder + "/" + name == NpmParts.lock:
            add(NpmParts.locked(document(directory, name) ?? []))
            isLocked = true
        case (_, "METADATA") where path.last?.hasSuffix(".dist-info") == true, (_, "PKG-INFO") where path.last?.hasSuffix(".egg-info") == true:
            if let component = PythonParts.installed(text(directory, name)) { add([component]) }
        case (_, "package.json") where Self.isPackage(path):
            if let component = document(directory, name).flatMap(NpmParts.installed) { add([component]) }
        case (_, "copyright") where path.count == 4 && folder.hasPrefix("usr/share/doc/"): documented.append(path[3])
        default: break
        }
    }

    /// `…/node_modules/NAME` or `…/node_modules/@SCOPE/NAME`.
    private static func isPackage(_ path: [String]) -> Bool {
        if path.count >= 2, path[path.count - 2] == "node_modules" { return true }
        return path.count >= 3 && path[path.count - 3] == "node_modules" && path[path.count - 2].hasPrefix("@")
    }

    private mutating func text(_ directory: Int32, _ name: String) -> String {
        document(directory, name).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    private mutating func document(_ directory: Int32, _ name: String) -> [UInt8]? {
        documents += 1
        let file = Descriptor(openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK))
        guard documents <= limits.documents, file.value >= 0, let found = Files.bytes(of: file.value, upTo: limits.document + 1),
            found.count <= limits.document, bytes + found.count <= limits.bytes
        else {
            isWhole = false
            return nil
        }
        bytes += found.count
        return found
    }
}
