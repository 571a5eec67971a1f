import Foundation
import MachineAPI

/// What an installation by npm left of itself: its lock file (version 3), checked.
struct NpmLock {
    /// `name@version`, sorted.
    let packages: [String]
    /// Those with scripts that npm would run at an installation, and did not.
    let withScripts: [String]
    /// Of those that lie beside each other at the top.
    private let versions: [String: String]

    /// The version of a package that was asked for.
    func version(of name: String) -> String? { versions[name] }

    static let limit = 16 << 20

    private struct Document: Decodable {
        struct Entry: Decodable {
            var version: String?
            var resolved: String?
            var integrity: String?
            var link: Bool?
            var hasInstallScript: Bool?
            /// It came in the archive of the package that it lies below.
            var inBundle: Bool?
        }

        var lockfileVersion: Int
        var packages: [String: Entry]
    }

    /// - Parameter registry: every package comes from its host, by its scheme, and has a hash to be checked against.
    init(_ bytes: [UInt8], registry: String) throws(ImageBuildFailure) {
        let origin = registry.split(separator: "/", omittingEmptySubsequences: false).prefix(3).joined(separator: "/") + "/"
        guard let document = CanonicalJSON.decode(Document.self, bytes), document.lockfileVersion == 3 else {
            throw Self.bad("The build left no lock of its packages behind.")
        }
        var (packages, scripts): ([String], [String]) = ([], [])
        var versions: [String: String] = [:]
        for (path, entry) in document.packages where !path.isEmpty {
            guard let end = path.range(of: "node_modules/", options: .backwards)?.upperBound else {
                throw Self.bad("\(path.prefix(200)) is no package of the registry.")
            }
            let name = String(path[end...].prefix(214))
            guard let version = entry.version, entry.link != true else { throw Self.bad("\(name) is no package of the registry.") }
            packages.append("\(name)@\(version.prefix(100))")
            if path == "node_modules/" + name { versions[name] = version }
            if entry.hasInstallScript == true { scripts.append(name) }
            if entry.inBundle == true, Self.isBelow(path, document.packages.keys) { continue }
            guard let place = entry.resolved, place.hasPrefix(origin) else {
                throw Self.bad("\(name) does not come from the registry.")
            }
            guard let hash = entry.integrity,
                hash.hasPrefix("sha512-") || hash.hasPrefix("sha384-") || hash.hasPrefix("sha256-") || hash.hasPrefix("sha1-")
            else { throw Self.bad("\(name) has no hash to be checked against.") }
        }
        self.packages = Set(packages).sorted()
        withScripts = Set(scripts).sorted()
        self.versions = versions
    }

    /// Whether it lies in another package, whose hash is that of its archive with everything in it.
    private static func isBelow(_ path: String, _ packages: Dictionary<String, Document.Entry>.Keys) -> Bool {
        guard let own = path.range(of: "/node_modules/", options: .backwards)?.lowerBound else { return false }
        return packages.contains(String(path[..<own]))
    }

    private static func bad(_ message: String) -> ImageBuildFailure {
        ImageBuildFailure(error: "build_failed", message: message, hint: "Only packages of the registry are installed, each by its hash.")
    }
}

/// The programs that an npm package offers, from its `package.json`.
struct NpmPrograms {
    /// By name, as paths in the package.
    let programs: [String: String]

    private struct Document: Decodable {
        enum Programs: Decodable {
            case one(String)
            case several([String: String])

            init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                if let path = try? container.decode(String.self) {
                    self = .one(path)
                } else {
                    self = .several(try container.decode([String: String].self))
                }
            }
        }

        var bin: Programs?
    }

    init(_ bytes: [UInt8], package: String) {
        let own = package.split(separator: "/").last.map(String.init) ?? package
        let found: [String: String] =
            switch CanonicalJSON.decode(Document.self, bytes)?.bin {
            case .one(let path)?: [own: path]
            case .several(let programs)?: programs
            case nil: [:]
            }
        // What leads elsewhere is none of the package's.
        programs = found.compactMapValues { path in
            let parts = path.split(separator: "/").filter { $0 != "." }
            guard !path.hasPrefix("/"), !parts.isEmpty, !parts.contains(".."), !path.utf8.contains(0) else { return nil }
            return parts.joined(separator: "/")
        }.filter { $0.key.utf8.count <= 128 }
    }

    /// The one that stands for the package: of its name without the scope, else the only one.
    func standard(of package: String) throws(ImageBuildFailure) -> String {
        let own = package.split(separator: "/").last.map(String.init) ?? package
        if let same = programs[own] { return same }
        // One program by several names is one.
        if let only = Set(programs.values).first, Set(programs.values).count == 1 { return only }
        let names = programs.keys.sorted().prefix(20).joined(separator: ", ")
        throw names.isEmpty
            ? ImageBuildFailure(
                error: "no_console_script", message: "\(package) brings no program to start.",
                hint: "It may be a library. Give the command yourself: -- node FILE, below \(NodeLayer.packages)/node_modules.")
            : ImageBuildFailure(
                error: "no_console_script", message: "\(package) brings several programs and none has its name: \(names).",
                hint: "Give one after --, such as -- \(programs.keys.sorted().first ?? "").")
    }
}
