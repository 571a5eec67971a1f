import MachineAPI

extension ImageSource {
    /// The options of `berth connector update` that build it anew, for a shell, and what a part in capitals stands for.
    var rebuilding: (option: String, note: String?) {
        if let pypi { return ("--pypi " + Self.quoted(pypi), nil) }
        if let npm { return ("--npm " + Self.quoted(npm), nil) }
        if let oci { return ("--oci " + Self.quoted(oci), nil) }
        let own = folder.map { String($0.prefix(200)) }
        if binary != nil { return ("--binary FILE", "the program \(own ?? "that it came from")") }
        if layout != nil { return ("--oci LAYOUT" + (tag.map { ":" + Self.quoted($0) } ?? ""), "the image layout \(own ?? "that it came from")") }
        return (requirements == true ? "--dir DIR --requirements FILE" : "--dir DIR", "the folder \(own ?? "that it came from")")
    }

    private static func quoted(_ text: String) -> String { "'" + text.prefix(512).replacing("'", with: #"'\''"#) + "'" }
}
