import MachineAPI

/// A command that a Python package offers.
struct ConsoleScript: Equatable, Sendable {
    enum Start: Equatable, Sendable {
        /// A function in a module.
        case function(module: String, object: String)
        /// A program that the package brought along, below its directory for programs.
        case program
    }

    var name: String
    var start: Start

    /// The argv that starts it.
    ///
    /// The function is started, not the file in `bin`, whose first line holds the path of the build. `-P` keeps the working
    /// directory off the module path.
    func command(python: String) -> [String] {
        switch start {
        case .program:
            return ["\(PythonLayer.packages)/bin/\(name)"]
        case .function(let module, let object):
            let head = object.prefix { $0 != "." }
            let code = "import sys; sys.argv[0] = '\(name)'; from \(module) import \(head); sys.exit(\(object)())"
            return ["/usr/bin/python3"] + (PythonVersion(python).hasSafePath ? ["-P"] : []) + ["-c", code]
        }
    }

    /// The console scripts of an `entry_points.txt`; what cannot be started safely is not among them.
    static func parse(_ text: String) -> [ConsoleScript] {
        var scripts: [ConsoleScript] = []
        var isConsole = false
        for line in text.split(whereSeparator: \.isNewline) {
            let line = line.trimmingBlanks
            if line.isEmpty || line.hasPrefix("#") || line.hasPrefix(";") { continue }
            if line.hasPrefix("[") {
                isConsole = line == "[console_scripts]"
                continue
            }
            guard isConsole, let equals = line.firstIndex(of: "=") else { continue }
            let name = line[..<equals].trimmingBlanks
            // An extra behind the function (`module:main [extra]`) says nothing about how it starts.
            let value = line[line.index(after: equals)...].prefix { $0 != "[" }.trimmingBlanks
            let parts = value.split(separator: ":", omittingEmptySubsequences: false).map { $0.trimmingBlanks }
            guard parts.count == 2, isPlain(name), isDotted(parts[0]), isDotted(parts[1]) else { continue }
            scripts.append(ConsoleScript(name: name, start: .function(module: parts[0], object: parts[1])))
        }
        return scripts
    }

    /// The script that stands for a package: the one of its name, else the only one.
    static func choose(from scripts: [ConsoleScript], package: String) throws(ImageBuildFailure) -> ConsoleScript {
        if let same = scripts.first(where: { $0.name == package }) { return same }
        if let similar = scripts.first(where: { Requirement.normalized($0.name) == package }) { return similar }
        if scripts.count == 1, let only = scripts.first { return only }
        guard !scripts.isEmpty else {
            throw ImageBuildFailure(
                error: "no_console_script", message: "\(package) brings no command to start.",
                hint: "It may be a library. Give the command yourself, such as -- python3 -m \(package.replacingHyphens).")
        }
        throw ImageBuildFailure(
            error: "no_console_script", message: "\(package) brings several commands and none has its name: \(list(scripts)).",
            hint: "Give the command of the server.")
    }

    static func list(_ scripts: [ConsoleScript]) -> String {
        let names = Set(scripts.map(\.name)).sorted()
        return names.prefix(20).joined(separator: ", ") + (names.count > 20 ? ", …" : "")
    }

    /// A name that can stand in code and in a path.
    static func isPlain(_ name: some StringProtocol) -> Bool {
        guard let first = name.utf8.first, first.isASCIILetterOrDigit || first == UInt8(ascii: "_") else { return false }
        return name.utf8.count <= 128 && name.utf8.allSatisfy { $0.isASCIILetterOrDigit || "._-+".utf8.contains($0) }
    }

    private static func isDotted(_ name: String) -> Bool {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return name.utf8.count <= 256
            && parts.allSatisfy { part in
                guard let first = part.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return false }
                return part.utf8.allSatisfy { $0.isASCIILetterOrDigit || $0 == UInt8(ascii: "_") }
            }
    }
}

extension String {
    fileprivate var replacingHyphens: String { String(map { $0 == "-" ? "_" : $0 }) }
}

/// A minor version of Python, such as `3.11`.
struct PythonVersion: Equatable {
    private let minor: Int

    init(_ text: String) { minor = text.split(separator: ".").dropFirst().first.flatMap { Int($0) } ?? 0 }

    /// `python3 -P` came with 3.11.
    var hasSafePath: Bool { minor >= 11 }
}
