import ArgumentParser
import AuthorCommands
import CLinux
import FoundationEssentials
import Glibc
import JSONText
import MCP
import Persistence

/// `berth backup`
struct Backup: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write the state into one file, while Berth runs or not.",
        discussion: """
            What is in it: both databases as they are at one moment, the key rings, the audit log, the images that machines need. What is \
            not: logs of machines and of Berth, and what is made anew by itself.
            The file holds the keys to every secret in it. It is 0600; to keep it elsewhere, encrypt it: \
            berth backup - | age -r RECIPIENT > berth.backup.age
            """)
    @OptionGroup var state: StateOption
    @Argument(help: ArgumentHelp("Where to: a file that is not there yet, or - for standard output.", valueName: "file")) var file: String
    @Flag(name: .customLong("no-images"), help: "Leave images out: a small file, after whose restore connectors are built anew.") var noImages = false
    @OptionGroup var output: JSONOption

    func validate() throws {
        if file == "-", output.json { throw ValidationError("--json and - both want standard output") }
        if file.isEmpty { throw ValidationError("FILE is empty") }
    }

    func run() throws {
        try Rights.needRoot("it reads what is root's and the gateway's alone")
        clinux_ignore_sigpipe()
        let installation = try state.installation()
        guard access(installation.gatewayState + "/gateway.db", F_OK) == 0, access(installation.orchestratorState + "/orchestrator.db", F_OK) == 0 else {
            throw Failure(
                "\(installation.state) holds no state of Berth's", hint: RunningState.hint(besides: installation) ?? "name another with --state DIR")
        }
        try RestoredState.refuseUnfinished(installation.state)
        let manifest: BackupManifest
        let size: Int
        if file == "-" {
            guard isatty(1) == 0 else {
                throw Failure("a terminal cannot show a backup", hint: "berth backup - | age -r RECIPIENT > berth.backup.age, or name a file", code: 64)
            }
            (manifest, size) = try write(installation, to: 1, name: "standard output")
        } else {
            let target = try BackupFile(file)
            defer { target.abandon() }
            (manifest, size) = try write(installation, to: target.descriptor, name: file)
            try target.publish()
        }
        try report(manifest, size)
    }

    private func write(_ installation: Installation, to descriptor: Int32, name: String) throws -> (BackupManifest, Int) {
        let created = Int64(Date().timeIntervalSince1970 * 1_000)
        let writer = try BackupWriter(descriptor, name: name, created: created)
        var manifest = BackupManifest(berth: BerthVersion.current, created: created, holdsImages: !noImages)
        if let listen = installation.lastListen { try writer.add(BackupName.listen, Array((listen + "\n").utf8)) }
        // The gateway's first: what its rows name was made in the orchestrator before them.
        for (part, directory) in [(StatePart.Part.gateway, installation.gatewayState), (.orchestrator, installation.orchestratorState)] {
            let found = try copy(part, directory, created, to: writer)
            manifest.connectors += found.connectors
            manifest.missingImages += found.missingImages
        }
        return (try writer.finish(manifest), writer.size)
    }

    /// One part, as the process that may read it hands it out.
    private func copy(_ part: StatePart.Part, _ directory: String, _ created: Int64, to writer: BackupWriter) throws -> BackupManifest {
        let process = try PartProcess(.pack, part, ["--directory", directory, "--created", "\(created)"] + (noImages ? ["--no-images"] : []))
        return try process.explaining {
            let reader = try BackupReader(process.output, source: "the \(part)'s part")
            while let entry = try reader.next() {
                guard entry.name.hasPrefix(part.rawValue + "/") else { throw StateError(.damaged, "\(entry.name) is not the \(part)'s") }
                try writer.begin(entry.name, size: entry.size)
                while let bytes = try reader.body() { try writer.append(bytes) }
                try writer.end()
            }
            try process.end()
            guard let manifest = reader.manifest else { throw StateError(.damaged, "the \(part)'s part has no manifest") }
            return manifest
        }
    }

    private func report(_ manifest: BackupManifest, _ size: Int) throws {
        let images = manifest.files.filter { $0.name.hasPrefix("orchestrator/images/manifests/") }.count
        let needs = try ImageNeeds(manifest, stateOption: state.installation().stateOption)
        if output.json {
            let names: JSONValue = .strings(manifest.connectors.map(\.name))
            return Output.json(
                .record(
                    ("file", .string(file)), ("bytes", .int(size)), ("files", .int(manifest.files.count)), ("images", .int(images)),
                    ("connectors", names), ("missing_images", .strings(manifest.missingImages))))
        }
        let name = file == "-" ? "backup" : file
        let lines = [
            "\(name): \(Bytes.text(size)), connectors \(manifest.connectors.count), images \(images)",
            "It holds the keys to every secret in it: keep it as you would keep those",
        ]
        for line in lines + needs.lines { file == "-" ? Output.note(line) : Output.line(line) }
    }
}

/// Connectors that a backup without images leaves without theirs, and what brings them back.
struct ImageNeeds {
    let lines: [String]

    /// - Parameter stateOption: for the commands.
    init(_ manifest: BackupManifest, stateOption: String) {
        if !manifest.missingImages.isEmpty {
            lines = ["\(manifest.missingImages.count) images were not in the store and are not in it: their connectors start no new machine until berth connector update NAME"]
            return
        }
        guard !manifest.holdsImages, !manifest.connectors.isEmpty else {
            lines = []
            return
        }
        lines = ["Images are not in it. After a restore no machine starts until its connector is built anew:"]
            + manifest.connectors.map { connector in
                let line = "  berth connector update \(connector.name)\(stateOption) \(connector.source)" + (connector.note.map { "    (\($0))" } ?? "")
                return String(Printable.line(line))
            }
    }
}

/// Sizes for people.
enum Bytes {
    /// `812 B`, `1.4 MiB`.
    static func text(_ bytes: Int) -> String {
        var value = Double(bytes)
        var unit = "B"
        for next in ["KiB", "MiB", "GiB", "TiB"] where value >= 1_024 { (value, unit) = (value / 1_024, next) }
        return unit == "B" || value >= 100 ? "\(Int(value)) \(unit)" : "\(Double(Int(value * 10)) / 10) \(unit)"
    }
}
