# Files as bytes of a program. cmake -DOUT=file -DFILES="a;b" -DNAMESPACE=sterna::eval -P embed.cmake writes a C++ source that
# defines kEmbedded of that namespace. As lists of bytes: string literals end at 64 KiB in the standard's minimum,
# and a text may hold whatever ends a raw one.
set(source "#include \"runtime/embedded.h\"\n\nnamespace ${NAMESPACE} {\nnamespace {\n")
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
string(APPEND source "constexpr sterna::runtime::EmbeddedFile kFiles[] = {\n${table}};\n}  // namespace\n\n"
       "extern const std::span<const sterna::runtime::EmbeddedFile> kEmbedded;\n"
       "const std::span<const sterna::runtime::EmbeddedFile> kEmbedded(kFiles);\n\n}  // namespace ${NAMESPACE}\n")
file(WRITE "${OUT}" "${source}")
