extension LauncherWords {
    /// A program of the client's host, by its path.
    func local(_ command: String, _ words: [Word]) throws(Refusal) -> Launch {
        guard let path = absolute(command), command.contains("/") else {
            let isWindows = command.contains("\\") || command.dropFirst().hasPrefix(":")
            throw Refusal(
                isWindows ? "its command is a path of Windows" : "\(command.prefix(64)) is a program of the client's host",
                isWindows
                    ? "name its package: uvx PACKAGE or npx -y PACKAGE"
                    : "name its package (uvx \(command.prefix(64)), npx -y PACKAGE), or the whole path of one executable file")
        }
        switch surroundings.look(path) {
        case .nothing: throw Refusal("\(path) is not on this host", "copy it here, or name its package: uvx PACKAGE or npx -y PACKAGE")
        case .directory: throw Refusal("\(path) is a directory", "name the program in it")
        case .program: return Launch(source: .binary(path), arguments: words, launcher: .none)
        case .text(let interpreter):
            let program = Self.base(interpreter)
            if Self.isPython(program) || (interpreter.isEmpty && path.hasSuffix(".py")) {
                // A script in `bin` of a virtual environment starts packages that lie elsewhere.
                let folder = path.split(separator: "/").dropLast()
                if folder.last == "bin", surroundings.has("/" + folder.dropLast().joined(separator: "/") + "/pyvenv.cfg") {
                    throw Refusal("\(path) starts a package of a virtual environment", "name the package: uvx \(Self.base(path))")
                }
                var options = Options(words: [Word(text: path)] + words, launcher: "python")
                return try python(&options, interpreter: program)
            }
            throw Refusal(
                "\(path) is a script of \(program.isEmpty ? "a shell" : program), which images of folders have not",
                "host it as an image: berth connector add NAME --oci IMAGE; or a folder with Python: --dir DIR -- python3 FILE")
        }
    }
}
