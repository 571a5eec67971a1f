import ArgumentParser
import AuthorCommands
import CLinux
import Glibc
import JSONText
import Persistence

/// `berth restore`
struct Restore: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a state of a backup, or check one.",
        discussion: """
            The state directory must hold no state yet. It is made whole or not at all: everything is checked first. Then: berth up --detach
            A backup and the state that it was made of are the same installation: do not run both.
            """)
    @OptionGroup var state: StateOption
    @Argument(help: ArgumentHelp("What berth backup wrote, or - for standard input.", valueName: "file")) var file: String
    @Flag(help: "Check all of it (hashes, databases, keys, audit log, images) and change nothing.") var verify = false
    @OptionGroup var output: JSONOption

    func run() throws {
        try Rights.needRoot(verify ? "the gateway's part is checked as the gateway's user" : "what it makes is root's and the gateway's")
        clinux_ignore_sigpipe()
        let input = try open()
        defer { if input > 0 { close(input) } }
        let reader = try BackupReader(input, source: file == "-" ? "standard input" : file)
        _ = try GatewayUser.ids()
        guard !verify else { return try report(try take(reader, action: .check) { _ in [] }.found, reader, in: nil) }
        let installation = try state.installation()
        let target = try RestoredState(installation)
        let found: [StatePart.Part: JSONValue]
        do {
            let taken = try take(reader, action: .unpack) { ["--directory", target.directory($0)] }
            try target.commit(listen: taken.listen)
            found = taken.found
        } catch {
            target.abandon()
            throw error
        }
        try report(found, reader, in: installation)
    }

    private func open() throws -> Int32 {
        if file == "-" {
            guard isatty(0) == 0 else { throw Failure("a terminal holds no backup", hint: "age -d berth.backup.age | berth restore -", code: 64) }
            return 0
        }
        let descriptor = Glibc.open(file, O_RDONLY | O_CLOEXEC)
        var info = stat()
        guard descriptor >= 0, fstat(descriptor, &info) == 0 else {
            throw Failure("\(file) cannot be read: \(String(cString: strerror(errno)))", hint: "name a file that berth backup wrote", code: 64)
        }
        guard [S_IFREG, S_IFIFO].contains(info.st_mode & S_IFMT) else {
            close(descriptor)
            throw Failure("\(file) is no file", hint: "name a file that berth backup wrote", code: 64)
        }
        return descriptor
    }

    /// Hands each part to a process that may write it, from the archive's first byte to its last.
    ///
    /// - Returns: what each found, and where clients were served.
    private func take(
        _ reader: BackupReader, action: StatePart.Action, _ options: (StatePart.Part) -> [String]
    ) throws -> (found: [StatePart.Part: JSONValue], listen: String?) {
        var processes: [StatePart.Part: (process: PartProcess, writer: BackupWriter)] = [:]
        for part in StatePart.Part.allCases {
            let process = try PartProcess(action, part, options(part))
            let writer = try process.explaining { try BackupWriter(process.descriptor, name: "the \(part)'s part", created: 0) }
            processes[part] = (process, writer)
        }
        var listen: String?
        while let entry = try reader.next() {
            if entry.name == BackupName.listen {
                listen = String(decoding: try reader.all(), as: UTF8.self).filter { $0 != "\n" }
                continue
            }
            guard let part = StatePart.Part.allCases.first(where: { entry.name.hasPrefix($0.rawValue + "/") }), let (process, writer) = processes[part]
            else { throw StateError(.damaged, "\(file) holds \(entry.name)") }
            try writer.begin(entry.name, size: entry.size)
            while let bytes = try reader.body() { try process.explaining { try writer.append(bytes) } }
            try writer.end()
        }
        guard let manifest = reader.manifest else { throw StateError(.damaged, "\(file) has no manifest") }
        var found: [StatePart.Part: JSONValue] = [:]
        for part in StatePart.Part.allCases {
            guard let (process, writer) = processes[part] else { continue }
            try process.explaining { _ = try writer.finish(manifest) }
            process.closeInput()
            var line = [UInt8](repeating: 0, count: 4_096)
            var count = 0
            while count < line.count {
                let got = line.withUnsafeMutableBytes { read(process.output, $0.baseAddress.map { $0 + count }, $0.count - count) }
                if got < 0, errno == EINTR { continue }
                guard got > 0 else { break }
                count += got
            }
            try process.end()
            found[part] = try JSONValue(parsing: Array(line.prefix(count).prefix { $0 != 10 }))
        }
        return (found, listen)
    }

    private func report(_ found: [StatePart.Part: JSONValue], _ reader: BackupReader, in installation: Installation?) throws {
        let (gateway, orchestrator) = (found[.gateway] ?? .null, found[.orchestrator] ?? .null)
        guard let manifest = reader.manifest else { return }
        if output.json {
            return Output.json(
                .record(
                    (installation == nil ? "verified" : "restored", .string(installation?.state ?? file)), ("created", .int(Int(manifest.created))),
                    ("berth", .string(manifest.berth)), ("bytes", .int(manifest.bytes)), ("holds_images", .bool(manifest.holdsImages)),
                    ("gateway", gateway), ("orchestrator", orchestrator)))
        }
        Output.line(
            installation.map { "Restored \($0.state) from \(file)" } ?? "\(file) is whole: every file, row, key and image in it was checked")
        Output.line("Made        \(Time.text(milliseconds: Int(manifest.created))) by berth \(manifest.berth)")
        Output.line(
            "Connectors  \(gateway.cell("connectors"))   virtual MCPs \(gateway.cell("virtualMCPs"))   tokens \(gateway.cell("tokens"))   "
                + "secrets \(gateway.cell("secrets"))")
        Output.line("Audit rows  \(gateway.cell("auditRows"))")
        Output.line("Machines    \(orchestrator.cell("machines"))   images \(orchestrator.cell("images"))")
        for line in ImageNeeds(manifest, stateOption: installation?.stateOption ?? "").lines { Output.line(line) }
        if let installation { Output.line("Next: berth up --detach\(installation.stateOption)") }
    }
}
