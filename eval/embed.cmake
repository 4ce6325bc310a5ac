# Writes the files of a list as one C++ source: embed.cmake -DOUT=file -DFILES="a;b". As lists of bytes: string
# literals end at 64 KiB in the standard's minimum, and a text may hold whatever ends a raw one.
set(source "#include \"eval/embedded.h\"\n\nnamespace sterna::eval {\nnamespace {\n")
set(table "")
set(number 0)
foreach(file ${FILES})
  get_filename_component(name "${file}" NAME)
  file(READ "${file}" hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND source "constexpr unsigned char kFile${number}[] = {${bytes}};\n")
  string(APPEND table "    {\"${name}\", kFile${number}, sizeof kFile${number}},\n")
  math(EXPR number "${number} + 1")
endforeach()
string(APPEND source "}  // namespace\n\nconst EmbeddedFile kEmbeddedFiles[] = {\n${table}};\n"
       "const std::size_t kEmbeddedCount = ${number};\n\n}  // namespace sterna::eval\n")
file(WRITE "${OUT}" "${source}")
