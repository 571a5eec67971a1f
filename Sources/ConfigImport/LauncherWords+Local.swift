extension LauncherWords {
    private static let lineRemedy = "write the program alone as command, and each word behind it into args"

    /// A program of the client's host, by its path.
    func local(_ command: String, _ words: [Word]) throws(Refusal) -> Launch {
        // A line typed in the place of a program; what follows its first word may be a secret.
        let isLine = command.contains(where: \.isWhitespace)
        guard let path = absolute(command), command.contains("/") else {
            let isWindows = command.contains("\\") || command.dropFirst().hasPrefix(":")
            if isWindows { throw Refusal("its command is a path of Windows", "name its package: uvx PACKAGE or npx -y PACKAGE") }
            let name = Looks.brief(command, 64)
            throw Refusal(
                "\(name) is a program of the client's host",
                isLine ? Self.lineRemedy : "name its package (uvx \(name), npx -y PACKAGE), or the whole path of one executable file")
        }
        switch surroundings.look(path) {
        case .nothing:
            throw Refusal(
                "\(Looks.brief(path, 200)) is not on this host",
                isLine ? Self.lineRemedy : "copy it here, or name its package: uvx PACKAGE or npx -y PACKAGE")
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
