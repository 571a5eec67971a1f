import JSONText

/// Takes secrets out of a command line: each becomes a variable, and `${secret:NAME}` stands where it was.
struct ArgumentSecrets {
    /// Variables with their values.
    private(set) var found: [String: String] = [:]
    /// Where they were, for people.
    private(set) var places: [String] = []
    private var taken: Set<String>

    init(taken: Set<String>) { self.taken = taken }

    mutating func hide(_ words: [Recognition.Word]) -> [String] {
        var result: [String] = []
        /// The option before, whose value a word may be.
        var option: String?
        for (index, word) in words.enumerated() {
            let text = word.text
            let before = option
            option = nil
            let name = text.prefix { $0 != "=" }
            // A name that comes out of a placeholder, or looks like a secret, names nothing.
            let isNamed = (word.filledAt.map { $0 >= name.utf8.count } ?? true) && !Looks.isSecretValue(name)
            let value = name.endIndex == text.endIndex ? nil : String(text[text.index(after: name.endIndex)...])
            if text.hasPrefix("-"), isNamed, let value {
                result.append(isSecret(value, of: String(name), word.isFilled) ? "\(name)=\(keep(value, String(name), index))" : text)
            } else if !isNamed || !text.hasPrefix("-"), isSecret(text, of: before, word.isFilled) {
                result.append(keep(text, before, index))
            } else if let value, isNamed, Variable.isName(name), isSecret(value, of: String(name), word.isFilled) {
                // NAME=VALUE as a word of its own.
                result.append("\(name)=\(keep(value, String(name), index))")
            } else {
                if text.hasPrefix("-"), isNamed, text.utf8.count > 1 { option = text }
                result.append(text)
            }
        }
        return result
    }

    private func isSecret(_ value: String, of name: String?, _ isFilled: Bool) -> Bool {
        guard !value.isEmpty else { return false }
        if Looks.isSecretValue(value) { return true }
        // What somebody typed unseen, or has in his environment, is a secret whatever it looks like, but for a path.
        if isFilled, !(value.hasPrefix("/") && Looks.isPlainWord(value)) { return true }
        let name = name.map { $0.drop { $0 == "-" } } ?? ""
        // `--user NAME:PASSWORD`, as curl has it.
        if ["u", "user", "auth", "login"].contains(name), let colon = value.firstIndex(of: ":"), value[colon...].utf8.count > 1,
            !value.contains("//"), !value.utf8.allSatisfy({ $0 < 0x3B })
        {
            return true
        }
        // `--auth none`, `--token-limit 100` are no secrets; a password may be four digits.
        if Looks.isPlainWord(value), !(name.uppercased().contains("PASSW") && value.utf8.allSatisfy { (0x30...0x39).contains($0) }) { return false }
        return Looks.isSecretName(name)
    }

    private mutating func keep(_ value: String, _ option: String?, _ index: Int) -> String {
        let word = (option ?? "").drop { $0 == "-" }.uppercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" }
        let base = word.isEmpty ? "ARG_\(index + 1)" : "ARG_" + String(word.prefix(64))
        var (name, number) = (base, 1)
        while taken.contains(name) {
            number += 1
            name = "\(base)_\(number)"
        }
        taken.insert(name)
        found[name] = value
        places.append(option ?? "word \(index + 1)")
        return "${secret:\(name)}"
    }
}

/// How an interpreter gets arguments that may not stand in an argument list: it reads them from its environment before the server's first
/// line runs.
enum Launcher: Equatable {
    /// The kernel starts the server's own program.
    case none
    case node
    /// A command of a package, by its name or the package's.
    case pythonProgram(String)
    case pythonModule(String)
    /// Relative to the folder.
    case pythonScript(String)

    func apply(to connector: inout ImportPlan.Connector) {
        switch self {
        case .none: break
        case .node:
            let before = connector.environment["NODE_OPTIONS"].map { $0 + " " } ?? ""
            connector.environment["NODE_OPTIONS"] = before + "--import=data:text/javascript," + Self.encoded(Self.javaScript)
        case .pythonProgram(let name): connector.command = ["python3", "-c", Self.python, "program", name]
        case .pythonModule(let name): connector.command = ["python3", "-c", Self.python, "module", name]
        case .pythonScript(let path): connector.command = ["python3", "-c", Self.python, "script", path]
        }
    }

    /// `process.argv` with the values in the place of `${secret:NAME}`.
    private static let javaScript =
        "process.argv=process.argv.map(a=>a.replace(/\\$\\{secret:(\\w+)\\}/g,(w,n)=>process.env[n]??w))"

    /// `KIND NAME ARGUMENT…`: the same in `sys.argv`, then what was to be started. The working directory stays off the module path, but for
    /// a script's own.
    private static let python = """
        import os,re,sys,runpy
        sys.path[:]=[p for p in sys.path if p]
        kind,name=sys.argv[1:3]
        sys.argv=[name]+[re.sub(r'\\$\\{secret:(\\w+)\\}',lambda m:os.environ.get(m[1],m[0]),a) for a in sys.argv[3:]]
        if kind=='script':
            sys.path.insert(0,os.path.dirname(os.path.abspath(name)))
            runpy.run_path(name,run_name='__main__')
        elif kind=='module':
            runpy.run_module(name,run_name='__main__',alter_sys=True)
        else:
            import importlib.metadata as metadata
            plain=lambda n:re.sub(r'[-_.]+','-',n).lower()
            found=list(metadata.entry_points(group='console_scripts'))
            same=[e for e in found if e.name==name] or [e for e in found if plain(e.name)==plain(name)]
            same=same or [e for e in found if e.dist and plain(e.dist.name)==plain(name)]
            if not same:
                sys.exit('no command '+name+' is installed')
            sys.argv[0]=same[0].name
            sys.exit(same[0].load()())
        """

    /// For the text of a `data:` address within an option: what is neither letter nor digit is encoded.
    private static func encoded(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF")
        return text.utf8.reduce(into: "") { result, byte in
            if (0x61...0x7A).contains(byte | 0x20) || (0x30...0x39).contains(byte) || byte == 0x2E || byte == 0x5F {
                result.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                result += "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
            }
        }
    }
}
