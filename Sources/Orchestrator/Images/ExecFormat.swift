import Glibc
import MachineAPI

/// Whether a file can be started in a root, told from its bytes before a machine is.
struct ExecFormat {
    /// The root that the program finds.
    var root: RootTree
    /// What the file is called, for people.
    var name: String
    /// What is to be done where the root does not have what the program is linked to.
    var remedy: String

    static let staticRemedy =
        "Link it statically (Go: CGO_ENABLED=0; Rust: --target \(hostName)-unknown-linux-musl; C: -static), or give an image that has it with --oci."

    static var hostName: String { ELFFile.name(ofMachine: ELFFile.hostMachine) }

    /// Where the dynamic linkers of glibc and musl look by themselves, of every distribution.
    private static let folders: [String] = {
        let triple = hostName + "-linux-gnu"
        return ["/lib/\(triple)", "/usr/lib/\(triple)", "/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib", "/usr/local/lib/\(triple)"]
    }()

    /// - Throws: `exec_format`, with what was found.
    func check(_ file: Int32) throws(ImageBuildFailure) {
        let magic = Magic(file)
        switch magic {
        case .elf: try checkProgram(file)
        case .script(let interpreter, let program): try checkScript(interpreter, program)
        case .other(let found, let hint): throw failure("is \(found) and no Linux program", hint)
        }
    }

    private func checkProgram(_ file: Int32) throws(ImageBuildFailure) {
        let program: ELFFile
        do throws(ELFFile.Malformed) {
            program = try ELFFile(reading: file)
        } catch {
            throw failure("is no whole Linux program: \(error.reason)", "Build or copy it again.")
        }
        guard program.machine == ELFFile.hostMachine else {
            throw failure(
                "is a program for \(ELFFile.name(ofMachine: program.machine)), and this host is \(Self.hostName)",
                "Build it for \(Self.hostName) (Go: GOARCH=\(ImageConfig.hostArchitecture); Rust: --target \(Self.hostName)-unknown-linux-musl).")
        }
        guard program.isProgram else { throw failure("is a library or an object file and no program", "Give the executable itself.") }
        guard let loader = program.loader else { return }
        guard root.isExecutable(loader) else { throw failure("needs \(loader), which its root does not have", remedy) }
        // What it carries along it names itself, and a search path of its own is the loader's business.
        guard !program.hasSearchPath else { return }
        if let missing = program.libraries.first(where: { library in
            !library.contains("/") && Self.libraryIsSure(library) && !Self.folders.contains { root.status($0 + "/" + library) != nil }
        }) {
            throw failure("needs \(missing), which its root does not have", remedy)
        }
    }

    /// Libraries that every distribution puts where the linker looks by itself: others may lie where the program says.
    private static func libraryIsSure(_ library: String) -> Bool {
        ["libc.so", "libm.so", "libdl.so", "libpthread.so", "librt.so", "libgcc_s.so", "libstdc++.so", "libssl.so", "libcrypto.so", "libz.so"]
            .contains { library.hasPrefix($0) }
    }

    private func checkScript(_ interpreter: String, _ program: String) throws(ImageBuildFailure) {
        guard !root.isExecutable(interpreter) else { return }
        throw failure(
            "is \(Self.scriptName(program)), and its root has no \(interpreter.prefix(100))",
            "Host it as a folder and name the interpreter: --dir DIR -- python3 FILE (images have Python and no shell).")
    }

    /// `a shell script`, `a Python script`, `a Node script`, `a script for /x`.
    private static func scriptName(_ program: String) -> String {
        switch program.split(separator: "/").last.map(String.init) ?? "" {
        case "sh", "bash", "dash", "ash", "zsh", "ksh": "a shell script"
        case let name where name.hasPrefix("python"): "a Python script"
        case "node": "a Node script"
        default: "a script for \(program.prefix(100))"
        }
    }

    private func failure(_ found: String, _ hint: String) -> ImageBuildFailure {
        ImageBuildFailure(error: "exec_format", message: "\(name) \(found).", hint: hint)
    }
}

/// What a file is by its first bytes.
enum Magic: Equatable {
    case elf
    /// The interpreter that its first line names, and the program that this one runs (`env` looks it up) or itself.
    case script(interpreter: String, program: String)
    case other(found: String, hint: String)

    init(_ file: Int32) {
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = bytes.withUnsafeMutableBytes { pread(file, $0.baseAddress, $0.count, 0) }
        bytes = Array(bytes.prefix(max(0, count)))
        func starts(_ magic: [UInt8]) -> Bool { bytes.starts(with: magic) }
        let build = "Build it for Linux and \(ExecFormat.hostName)."
        if starts([0x7F, 0x45, 0x4C, 0x46]) {
            self = .elf
        } else if starts(Array("#!".utf8)) {
            let line = String(decoding: bytes.dropFirst(2).prefix { $0 != 10 && $0 != 13 }, as: UTF8.self)
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).map { word in
                String(word.unicodeScalars.filter { $0.value > 0x20 && $0.value < 0x7F }.map(Character.init))
            }
            let interpreter = words.first ?? ""
            let program = interpreter.hasSuffix("/env") ? words.dropFirst().first { !$0.hasPrefix("-") } : nil
            self = .script(interpreter: interpreter, program: program ?? interpreter)
        } else if starts([0x4D, 0x5A]) {
            self = .other(found: "a Windows program", hint: build)
        } else if [[0xCF, 0xFA, 0xED, 0xFE], [0xFE, 0xED, 0xFA, 0xCF], [0xCA, 0xFE, 0xBA, 0xBE]].contains(where: { starts($0) }) {
            self = .other(found: "a macOS program", hint: build)
        } else if starts([0x50, 0x4B, 3, 4]) {
            self = .other(found: "a zip archive", hint: "Unpack it and give the program in it.")
        } else if starts([0x1F, 0x8B]) {
            self = .other(found: "a gzip archive", hint: "Unpack it and give the program in it.")
        } else if bytes.count > 0, bytes.allSatisfy({ $0 >= 0x20 && $0 < 0x7F || [9, 10, 13].contains($0) }) {
            self = .other(found: "a text file", hint: "Give the compiled program; a script begins with #!.")
        } else {
            self = .other(found: bytes.isEmpty ? "an empty file" : "neither a program nor a script", hint: build)
        }
    }
}
