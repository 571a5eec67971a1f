import Glibc
import MachineAPI

/// The base system of every image: the distribution's Python and what it needs, extracted without running any
/// package's scripts. `images/README.md` says it for people.
struct BaseRecipe: Codable, Equatable, Sendable {
    /// Raised when what is done to the tree changes.
    var version = 2
    var release: String
    var architecture: String
    var packages: [String]
    /// The mirrors, as apt reads them; empty means the tool's own default.
    var lines: [String]
    var stanzas: [String]

    static let packages = ["python3", "ca-certificates", "libc-bin", "libstdc++6", "libatomic1", "tzdata", "git"]

    /// The recipe for this host: its release, its mirrors.
    static func host() throws -> BaseRecipe {
        guard let text = Files.read("/etc/os-release") ?? Files.read("/usr/lib/os-release") else {
            throw failure("/etc/os-release is missing.", nil)
        }
        var fields: [String: String] = [:]
        for line in text.split(whereSeparator: \.isNewline) {
            let parts = line.split(separator: "=", maxSplits: 1)
            if parts.count == 2 { fields[String(parts[0])] = parts[1].filter { $0 != "\"" } }
        }
        guard let release = fields["VERSION_CODENAME"], !release.isEmpty, ConsoleScript.isPlain(release) else {
            throw failure("This host is no Debian or Ubuntu release.", "Images are made from the host's own package mirrors.")
        }
        var files = [(name: "sources.list", text: Files.read("/etc/apt/sources.list") ?? "")]
        for name in Files.names("/etc/apt/sources.list.d") {
            if let text = Files.read("/etc/apt/sources.list.d/" + name) { files.append((name, text)) }
        }
        let sources = AptSources.select(from: files, release: release)
        return BaseRecipe(
            release: release, architecture: ImageConfig.hostArchitecture, packages: packages, lines: sources.lines, stanzas: sources.stanzas)
    }

    /// Extracts the distribution's packages into `tree`, which must not exist.
    func extract(into tree: String, scratch: String) async throws {
        let tools: [String] = ["/usr/bin/mmdebstrap", "/usr/local/bin/mmdebstrap"]
        guard let tool = tools.first(where: { access($0, X_OK) == 0 }) else {
            throw Self.failure("mmdebstrap is not installed.", "apt-get install mmdebstrap")
        }
        var arguments = [
            "--quiet", "--mode=root", "--variant=extract", "--include=" + packages.joined(separator: ","),
            // One place for programs and libraries, as every present release has it; links that exist before the packages
            // come need no script of theirs.
            "--setup-hook=mkdir -p \"$1/usr\" && cd \"$1\" && for d in bin sbin lib lib64; do mkdir -p usr/$d && ln -s usr/$d $d; done",
            // Packages that are only extracted are in no list: theirs is made, so that an image says what is in it.
            "--extract-hook=cd \"$1/var/cache/apt/archives\" && for f in *.deb; do dpkg-deb -f \"$f\" Package Version Architecture Source"
                + " && printf 'Status: install ok installed\\n\\n'; done > \"$1/var/lib/dpkg/status\"",
            release, tree,
        ]
        if !lines.isEmpty {
            try Files.write(scratch + "/base.list", Array(lines.joined(separator: "\n").utf8) + [UInt8(ascii: "\n")])
            arguments.append(scratch + "/base.list")
        }
        if !stanzas.isEmpty {
            try Files.write(scratch + "/base.sources", Array(stanzas.joined(separator: "\n").utf8))
            arguments.append(scratch + "/base.sources")
        }
        // A package manager obeys proxies of the host's environment, which this process was started with on purpose.
        var environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "TMPDIR=" + scratch]
        for name in ["http_proxy", "https_proxy", "no_proxy"] {
            if let value = getenv(name) { environment.append("\(name)=\(String(cString: value))") }
        }
        let result: HostCommandResult
        do {
            result = try await HostCommand.run(tool, arguments, environment: environment, timeout: .seconds(900))
        } catch let error as OCIError where error.code == .timedOut {
            throw ImageBuildFailure(
                error: "timeout", message: "Making the base system took too long.", hint: "Check the package mirrors in /etc/apt.")
        }
        guard result.isSuccess else {
            let log = BuildDiagnosis.tail(result.text)
            if result.text.contains("No space left on device") {
                throw ImageBuildFailure(
                    error: "disk_full", message: "The disk filled while the base system was made.", hint: "Free about 300 MiB.", log: log)
            }
            throw Self.failure("The base system could not be made.", "Check that apt-get update works on this host.", log: log)
        }
    }

    private static func failure(_ message: String, _ hint: String?, log: String? = nil) -> ImageBuildFailure {
        ImageBuildFailure(error: "base_failed", message: message, hint: hint, log: log)
    }
}

/// Makes the extracted packages a system: what their scripts would have written, and nothing that changes by itself.
enum BaseTree {
    /// Left out of the copy: what no server reads, and what the machine brings itself.
    static func leavesOut(_ path: String) -> Bool {
        if path.hasPrefix("usr/share/doc/") {
            // Copyrights stay with what they cover.
            let parts = path.split(separator: "/")
            return parts.count > 4 || (parts.count == 4 && parts[3] != "copyright")
        }
        return leftOut.contains { path == $0 || path.hasPrefix($0 + "/") } || leftOutBelow.contains { path.hasPrefix($0) }
    }

    private static let leftOut: [String] = [
        "etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/machine-id", "etc/fstab", "etc/apt", "etc/cron.daily", "etc/logrotate.d",
        "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian", "usr/share/bug", "usr/share/pixmaps",
        "usr/share/applications", "usr/lib/systemd", "var/lib/apt", "var/cache", "var/log",
        "var/lib/dpkg/alternatives", "var/lib/dpkg/arch", "var/lib/dpkg/info", "var/lib/dpkg/triggers", "var/lib/dpkg/updates",
    ]
    private static let leftOutBelow = ["dev/", "proc/", "sys/", "tmp/", "run/"]

    static let users = """
        root:x:0:0:root:/root:/usr/sbin/nologin
        berth:x:1000:1000:berth:/tmp:/usr/sbin/nologin
        nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin

        """
    static let groups = """
        root:x:0:
        berth:x:1000:
        nogroup:x:65534:

        """
    static let nameServices = """
        passwd: files
        group: files
        hosts: files dns
        services: files
        protocols: files

        """

    /// Writes accounts, name services, certificates and mount points into the copied tree, and answers the version of its Python.
    static func complete(_ tree: String) throws -> String {
        for directory in [
            "proc", "dev", "tmp", "root", "run/berth", "opt/berth", "opt/mcp", "srv/server", "out", "in", "etc/ssl/certs", "var/log", "var/cache",
        ] {
            try Files.makeDirectories(tree + "/" + directory, mode: 0o755)
        }
        try write(tree + "/etc/passwd", users)
        try write(tree + "/etc/group", groups)
        try write(tree + "/etc/nsswitch.conf", nameServices)
        try write(tree + "/etc/os-release", release(Files.read("/etc/os-release") ?? Files.read("/usr/lib/os-release") ?? ""))
        try write(tree + "/etc/ssl/certs/ca-certificates.crt", try certificates(tree + "/usr/share/ca-certificates"))
        // Where the TLS library looks first, whichever way its package linked it.
        let link = tree + "/usr/lib/ssl/cert.pem"
        if Files.status(link) == nil {
            try Files.makeDirectories(tree + "/usr/lib/ssl", mode: 0o755)
            guard symlink("/etc/ssl/certs/ca-certificates.crt", link) == 0 else { throw Disk.failure("symlink", link, errno) }
        }
        guard let python = pythonVersion(tree) else {
            throw ImageBuildFailure(error: "base_failed", message: "The base system holds no Python.", hint: "Check the mirrors in /etc/apt.")
        }
        return python
    }

    /// What names a distribution and its release, of the host's own file: the base system is of the same.
    static func release(_ text: String) -> String {
        let kept = ["ID", "VERSION_ID", "VERSION_CODENAME"]
        let lines = text.split(whereSeparator: \.isNewline).filter { line in kept.contains { line.hasPrefix($0 + "=") } }
        return lines.sorted().joined(separator: "\n") + "\n"
    }

    /// `3.11`, from what `python3` is a link to.
    static func pythonVersion(_ tree: String) -> String? {
        var buffer = [CChar](repeating: 0, count: 256)
        let count = readlink(tree + "/usr/bin/python3", &buffer, buffer.count - 1)
        guard count > 0 else { return nil }
        let target = String(decoding: buffer[0..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let name = target.split(separator: "/").last.map(String.init) ?? ""
        guard name.hasPrefix("python3."), Int(name.dropFirst(8)) != nil else { return nil }
        return String(name.dropFirst(6))
    }

    private static func certificates(_ directory: String) throws -> String {
        var bundle = ""
        for authority in Files.names(directory) {
            for name in Files.names(directory + "/" + authority) where name.hasSuffix(".crt") {
                guard let bytes = Disk.read(directory + "/\(authority)/\(name)", limit: 1 << 20) else { continue }
                bundle += String(decoding: bytes, as: UTF8.self).trimmingBlanks + "\n"
            }
        }
        guard bundle.contains("BEGIN CERTIFICATE") else {
            throw ImageBuildFailure(error: "base_failed", message: "The base system holds no certificates.", hint: "Check the mirrors in /etc/apt.")
        }
        return bundle
    }

    private static func write(_ path: String, _ text: String) throws {
        unlink(path)
        try Files.write(path, Array(text.utf8), mode: 0o644)
        guard chmod(path, 0o644) == 0 else { throw Disk.failure("chmod", path, errno) }
    }
}
